// What the client scripts share: settings, one line of outcome, a time limit, and child processes that end with us.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('./node_modules/', import.meta.url));
const children = new Set();
const folders = new Set();

/** Ends every child process group we started and removes our throw-away folders, however this process ends. */
process.on('exit', () => {
  for (const child of children) stop(child, 'SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => fail(`stopped by ${signal}`));

/** The gateway to talk to and the call to make; `modes` are the values the script's argument may have. */
export function settings(modes) {
  const [mode] = process.argv.slice(2);
  if (!modes.includes(mode)) fail(`say ${modes.join(' or ')} as the first argument, not ${JSON.stringify(mode)}`);
  const { MCP_URL: url, MCP_TOKEN: token, MCP_TOOL: tool, MCP_ARGUMENTS: text = '{}' } = process.env;
  if (!url || !URL.canParse(url)) fail(`MCP_URL is not a URL: ${JSON.stringify(url)}`);
  if (!tool) fail('MCP_TOOL is not set');
  return { mode, url, token, tool, arguments: parse(text, 'MCP_ARGUMENTS') };
}

/** Prints the outcome as the script's only line on stdout and ends the process. */
export function report(client, era, tools, result) {
  const line = {
    client,
    era,
    tools: tools.map((tool) => tool.name),
    result: result.structuredContent ?? null,
    is_error: result.isError ?? false,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
}

/** Says on stderr what went wrong and ends the process with status 1. */
export function fail(message) {
  console.error(message);
  process.exit(1);
}

/** Runs the script's work, turning whatever it throws, or running out of time, into `fail`. */
export function run(work, seconds = 60) {
  setTimeout(() => fail(`no outcome within ${seconds} s`), seconds * 1000);
  work().catch((error) => fail(explain(error)));
}

/** Starts a program of an installed package on the pinned Node, in a process group of its own. */
export function start(script, args, { env = {}, stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
  const child = spawn(join(modules, '.bin/node'), [join(modules, script), ...args], {
    stdio,
    detached: true,
    env: { PATH: process.env.PATH, HOME: folder(), NO_COLOR: '1', ...env },
  });
  child.once('error', (error) => fail(`cannot start ${script} (is npm ci done?): ${error.message}`));
  return ends(child);
}

/** Sees to it that a child, which leads a process group, ends with us. */
export function ends(child) {
  return child.once('spawn', () => children.add(child)).once('close', () => children.delete(child));
}

/** Ends a process group that `start` made. */
export function stop(child, signal = 'SIGTERM') {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Everything a child stream says, as text, filled in as it comes. */
export function collect(stream) {
  const said = { text: '' };
  stream.setEncoding('utf8').on('data', (part) => (said.text += part));
  return said;
}

/** An empty folder that disappears with this process. */
export function folder() {
  const made = mkdtempSync(join(tmpdir(), 'smartermcp-clients-'));
  folders.add(made);
  return made;
}

/** Leaves a folder in place for whoever looks into a failure. */
export function keep(made) {
  folders.delete(made);
}

/** A function that sends one JSON-RPC request down a child's stdin and resolves to its result. */
export function speak(child) {
  const waiting = new Map();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = parse(line, 'a line of the server');
    if (message.method !== undefined) return; // a notification; we declared nothing a server could ask us for
    const answer = waiting.get(message.id);
    waiting.delete(message.id);
    answer?.(message);
  });
  let id = 0;
  return async (method, params) => {
    const answered = new Promise((resolve) => waiting.set(++id, resolve));
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    const { result, error } = await answered;
    if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  };
}

/** How many scenarios ran, unscored ones included, and how their checks ended, from the files the suite left. */
export function count(results) {
  const counts = { scenarios: 0, passed: 0, failed: 0, warnings: 0, skipped: 0 };
  const names = { SUCCESS: 'passed', FAILURE: 'failed', WARNING: 'warnings', SKIPPED: 'skipped' };
  for (const scenario of readdirSync(results)) {
    counts.scenarios += 1;
    for (const { status } of JSON.parse(readFileSync(join(results, scenario, 'checks.json'), 'utf8'))) {
      if (names[status]) counts[names[status]] += 1;
    }
  }
  return counts;
}

/** Reads JSON, naming what was being read if it is not. */
export function parse(text, what) {
  try {
    return JSON.parse(text);
  } catch {
    return fail(`${what} is not JSON: ${text.trim().slice(0, 2000) || '(empty)'}`);
  }
}

function explain(error) {
  const parts = [];
  for (let cause = error; cause; cause = cause.cause) parts.push(String(cause));
  return parts.join(', because of ');
}
