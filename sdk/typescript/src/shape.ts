// Spelling: turns names from snake_case to camelCase and back, only where a generated shape says that a name is the contract's.

/** A field of an object: what the other side calls it, the shape of its value, and whether it is a secret. */
export type FieldShape = readonly [name: string, shape?: Shape | undefined, secret?: boolean];

/** What a value is, as far as names go. A value without a shape stays as it is, however deep: it is the caller's or the tenant's own. */
export type Shape = { readonly fields: Readonly<Record<string, FieldShape>> } | { readonly items: Shape } | { readonly values: Shape };

/** The value with the contract's names as the other side spells them. What the shape does not know is kept as it came. */
export function respell(value: unknown, shape: Shape | undefined): unknown {
  if (shape === undefined || typeof value !== 'object' || value === null) return value;
  if ('items' in shape) return Array.isArray(value) ? value.map((item) => respell(item, shape.items)) : value;
  if (Array.isArray(value)) return value;
  const entries = Object.entries(value);
  // fromEntries, not assignment: a name like `__proto__` is a name.
  if ('values' in shape) return Object.fromEntries(entries.map(([name, one]) => [name, respell(one, shape.values)]));
  const secrets: string[] = [];
  const respelled = Object.fromEntries(
    entries.map(([name, one]): [string, unknown] => {
      const field = Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
      if (field === undefined) return [name, one];
      if (field[2]) secrets.push(field[0]);
      return [field[0], respell(one, field[1])];
    }),
  );
  return secrets.length > 0 ? concealed(respelled, secrets) : respelled;
}

/**
 * An answer that no shape describes, with its secrets kept from what is printed, however deep:
 * a token is known by how it begins, and the rest by its name (as sdk/generate/model.py has it).
 */
export function guarded<T extends object>(answer: T): T {
  // A list of what is left to look through, not a recursion: how deep an answer goes is not ours to say.
  const parts: object[] = [answer];
  for (const part of parts) {
    const secrets: string[] = [];
    for (const [name, one] of Object.entries(part)) {
      if (typeof one === 'object' && one !== null) parts.push(one);
      else if (typeof one === 'string' && (one.startsWith('smcp_') || SECRET.test(name))) secrets.push(name);
    }
    if (secrets.length > 0) concealed(part, secrets);
  }
  return answer;
}

const SECRET = /_(token|secret|password|key)$/;

/** The object as it is, but for what `console.log` prints of it in Node, Deno and Bun: not the secrets. */
function concealed(value: object, secrets: readonly string[]): object {
  const shown = () => Object.assign({}, value, Object.fromEntries(secrets.map((name) => [name, '[secret]'])));
  return Object.defineProperty(value, Symbol.for('nodejs.util.inspect.custom'), { value: shown, enumerable: false });
}
