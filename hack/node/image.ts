import { own } from './environment.ts'

/** What a container image is on this machine. `command` and `args` stand for the image's ENTRYPOINT and CMD. */
export interface LocalImage {
  readonly command: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The working directory; this process's own unless said otherwise. */
  readonly cwd?: string
}

/** Images by name, with or without a tag or digest: `tenantry/operator` stands for every tag of it. */
export type Images = Readonly<Record<string, LocalImage>>

/** A container's image is not in the map. */
export class ImageError extends Error {}

/** The local image of a container. Throws ImageError. */
export function findImage(images: Images, name: string): LocalImage {
  const untagged = name.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  const found = own(images, name) ?? own(images, untagged)
  if (found) return found
  const known = Object.keys(images).join(', ') || 'none'
  throw new ImageError(
    `image "${name}" stands for no local command on this node, which pulls none (it knows: ${known})`,
  )
}
