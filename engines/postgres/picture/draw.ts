import { AppError } from '@tenantry/crds/errors.ts'
import type { Drawn, SchemaSubject } from '../../model.ts'
import type { Server } from '../session.ts'
import { diagram } from './diagram.ts'
import { readPictures } from './look.ts'
import type { Picture } from './picture.ts'
import { readOnly } from './read-only.ts'
import { replay } from './replay.ts'

/** The diagram of a schema that is there, or of what files make. Throws AppError `Unsupported` where there is nothing to draw. */
export async function draw(server: Server, drawn: Drawn, signal: AbortSignal): Promise<string> {
  if ('schema' in drawn) return diagram(await pictureOfSchema(server, drawn, signal))
  const replayed = await replay(server, drawn, signal)
  if (replayed.unknown === undefined) return diagram(replayed.picture)
  throw new AppError('Unsupported', `draw what the SQL files make: ${replayed.unknown}; draw a tenant's schema`)
}

async function pictureOfSchema(server: Server, subject: SchemaSubject, signal: AbortSignal): Promise<Picture> {
  const doing = `draw schema "${subject.schema}"`
  const pictures = await readOnly(server, { place: subject.place, doing }, signal, (read) =>
    readPictures(read, [subject]),
  )
  const picture = pictures.get(subject.schema)
  if (picture) return picture
  throw new AppError('Unsupported', `${doing} on ${server.title}: there is no such schema`)
}
