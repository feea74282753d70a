/** Width of a field of a kernel structure; `bytesN` is padding or an opaque array. */
export type FieldType = 'u16' | 'u32' | 'i32' | 'u64' | 'i64' | `bytes${number}`;

/** A structure of `fuse_kernel.h`: its size and the offset of each field from its start. */
export interface StructLayout<Field extends string> {
  readonly name: string;
  readonly size: number;
  readonly offset: Readonly<Record<Field, number>>;
}

function width(type: FieldType): number {
  if (type.startsWith('bytes')) return Number(type.slice('bytes'.length));
  return Number(type.slice(1)) / 8;
}

/**
 * Lays a structure out as the C compiler does and checks, when the module loads, that every field is naturally aligned and that the
 * total is the size the kernel was compiled with: a wrong table cannot start.
 */
export function struct<const Fields extends readonly (readonly [string, FieldType])[]>(
  name: string,
  size: number,
  fields: Fields,
): StructLayout<Fields[number][0]> {
  const offset: Record<string, number> = {};
  let at = 0;
  for (const [field, type] of fields) {
    const bytes = width(type);
    const alignment = type.startsWith('bytes') ? 1 : bytes;
    if (at % alignment !== 0) throw new Error(`${name}.${field} is not aligned: offset ${at}`);
    offset[field] = at;
    at += bytes;
  }
  if (at !== size) throw new Error(`struct ${name} is ${at} bytes, the kernel's is ${size}`);
  return { name, size, offset: offset as Record<Fields[number][0], number> };
}
