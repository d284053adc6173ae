// Optional fields for APIs that do not accept undefined as a value.

/** The fields of T, where those that may be undefined are optional instead. */
export type OmitUndefined<T> = {
  [Name in keyof T as undefined extends T[Name] ? never : Name]: T[Name];
} & {
  [Name in keyof T as undefined extends T[Name] ? Name : never]?: Exclude<T[Name], undefined>;
};

/** Returns a copy of `fields` without those whose value is undefined. */
export function omitUndefined<T extends object>(fields: T): OmitUndefined<T> {
  const defined = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as OmitUndefined<T>;
}
