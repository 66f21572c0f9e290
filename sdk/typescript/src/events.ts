// Events: a `text/event-stream` read as it comes (WHATWG HTML, Server-sent events).

/** One event: its name, and its data. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** The most that one event may hold: its end never came, or it is no stream of events. */
const EVENT_MAX = 8 * 1024 * 1024;

/** The events of a body, in order; it ends where the body ends. */
export async function* events(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent, void, undefined> {
  let rest = '';
  let name = 'message';
  let data: string[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    // What was kept has no end of a line, or half of one: it is not looked through again with every chunk.
    const ended = rest.endsWith('\r') || /[\r\n]/.test(chunk);
    rest += chunk;
    // A CR at the end may be half of a CRLF.
    const lines = ended ? rest.split(/\r\n|\n|\r(?!$)/) : [rest];
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { name, data: data.join('\n') };
        name = 'message';
        data = [];
        size = 0;
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') name = value;
      else if (field === 'data') {
        data.push(value);
        // Of the line and not of its value, which may be empty.
        size += line.length;
      }
    }
    if (size + rest.length > EVENT_MAX) throw new Error(`an event of more than ${EVENT_MAX} characters`);
  }
}
