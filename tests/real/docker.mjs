// Services and containers on a real Docker: two tenants on one daemon, both doors. Started by docker.sh; prints a Markdown report.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

const binary = process.argv[2] ?? 'target/debug/smartermcp';
const { REAL_PROMETHEUS: prometheusPort, REAL_SOCKET: socket, REAL_TLS_PORT: tlsPort, REAL_TLS: tls } = process.env;
const folder = mkdtempSync(join(tmpdir(), 'smartermcp-real-'));
let failures = 0;
let child;

const docker = (...args) => execFileSync('docker', ['-H', `unix://${socket}`, ...args], { encoding: 'utf8' }).trim();
const pem = (name) => readFileSync(join(tls, name), 'utf8');
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
    probe.on('error', reject);
  });

const admin = randomBytes(32).toString('hex');

async function gateway() {
  const port = await freePort();
  child = spawn(binary, ['serve'], {
    env: {
      ...process.env,
      SMARTERMCP_LISTEN: `127.0.0.1:${port}`,
      SMARTERMCP_DATA_DIR: folder,
      SMARTERMCP_ADMIN_TOKEN: admin,
      SMARTERMCP_BACKEND_ALLOW: '127.0.0.1/32',
      RUST_LOG: 'warn',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  for (let look = 0; look < 100; look += 1) {
    if ((await fetch(`${url}/health/ready`).catch(() => null))?.ok) return url;
    await pause(100);
  }
  throw new Error('the gateway did not become ready');
}

async function rest(url, token, method, path, body, headers = {}) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  const streamed = response.headers.get('content-type')?.startsWith('text/event-stream');
  return { status: response.status, json: streamed ? text.split('\n\n').filter((event) => event.startsWith('event')) : text ? JSON.parse(text) : null };
}

async function mcp(url, token, name, args, progressToken) {
  const params = { name, arguments: args };
  if (progressToken) params._meta = { progressToken };
  const response = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
  });
  const text = await response.text();
  const messages = text.startsWith('{')
    ? [JSON.parse(text)]
    : text.split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
  return { messages, result: messages.at(-1).result };
}

/** One line of the report: what was done, what came back, whether that is right. */
function saw(what, answer, right) {
  if (!right) failures += 1;
  // What is this machine's own: its name server.
  const text = JSON.stringify(answer).replaceAll(/ on [0-9.]+:53/g, '');
  console.log(`- ${right ? 'ok' : '**FAILED**'}: ${what}\n  \`${text.length > 560 ? `${text.slice(0, 560)}…` : text}\``);
}

async function main() {
  let url = await gateway();
  const operator = (method, path, body, tenant) => rest(url, admin, method, path, body, tenant ? { 'x-tenant-id': tenant } : {});
  const server = docker('version', '--format', '{{.Server.Version}}, API {{.Server.APIVersion}}');
  console.log(`## Docker, ${new Date().toISOString().slice(0, 10)}\n`);
  console.log(`A real dockerd (${server}) with images made of busybox; tenant luna reaches it by its Unix socket, tenant sol over TLS.\n`);

  const limits = { general: { per_minute: 10000, per_hour: 100000, burst: 10000 } };
  const tenants = {};
  for (const slug of ['luna', 'sol']) {
    const { json: tenant } = await operator('POST', '/api/v1/tenants', { name: slug, slug });
    const issue = async (scopes) =>
      (await operator('POST', '/auth/token', { name: 'real', scopes, tenant_id: tenant.id, limits })).json.api_token;
    tenants[slug] = { id: tenant.id, token: await issue(['write:services']), admin: await issue(['admin:tenants']) };
  }
  const { luna, sol } = tenants;

  // luna has a shop in two networks with a published port, and a job that ended; sol has one container.
  const port = await freePort();
  const of = (tenant, service, type) => ['--label', `smarteros.tenant=${tenant.id}`, '--label', `smarteros.service=${service}`, '--label', `smarteros.type=${type}`];
  const image = 'registry.invalid/tienda:1';
  docker('run', '-d', '--name', 'luna-tienda', ...of(luna, 'tienda', 'backend'), '--network', 'smartermcp-front', '-p', `127.0.0.1:${port}:80`, '-e', 'OWN=luna', '-v', '/srv', image);
  docker('network', 'connect', 'smartermcp-back', 'luna-tienda');
  docker('run', '-d', '--name', 'luna-job', ...of(luna, 'job', 'infrastructure'), '--network', 'none', image, '/bin/sh', '-c', 'echo done; exit 7');
  docker('run', '-d', '--name', 'sol-web', ...of(sol, 'web', 'frontend'), '--network', 'none', image);
  docker('run', '-d', '--name', 'nobodys', '--network', 'none', image);
  const volume = () => docker('inspect', '-f', '{{range .Mounts}}{{.Name}}{{end}}', 'luna-tienda');
  const networks = () => docker('inspect', '-f', '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}', 'luna-tienda');
  const names = () => docker('ps', '-a', '--format', '{{.Names}}').split('\n').sort().join(' ');
  const [volumeBefore, networksBefore, namesBefore] = [volume(), networks(), names()];

  const socketUrl = { url: `unix://${socket}`, credential: {} };
  let answer = await rest(url, luna.admin, 'PUT', '/api/v1/connections/docker', socketUrl);
  saw("luna's own administrator may not connect a socket", answer, answer.status === 403 && answer.json.code === 'operator_only');
  await operator('PUT', '/api/v1/connections/docker', socketUrl, luna.id);
  answer = await operator('POST', '/api/v1/connections/docker/test', {}, luna.id);
  saw('luna: the socket that the operator connected is tested', answer, answer.status === 200 && answer.json.detail.endsWith(': 2.'));

  const secured = (credential) => rest(url, sol.admin, 'PUT', '/api/v1/connections/docker', { url: `https://127.0.0.1:${tlsPort}`, credential });
  await secured({ ca: pem('ca.pem') });
  answer = await rest(url, sol.admin, 'POST', '/api/v1/connections/docker/test', {});
  saw('sol: without a client certificate the Docker refuses, and the test says so', answer, answer.status === 503 && answer.json.detail.includes('client certificate'));
  await secured({ client_cert: pem('client.pem'), client_key: pem('client-key.pem') });
  answer = await rest(url, sol.admin, 'POST', '/api/v1/connections/docker/test', {});
  saw('sol: without its authority the Docker is not believed', answer, answer.status === 503 && answer.json.detail.includes('certificate'));
  await secured({ ca: pem('ca.pem'), client_cert: pem('client.pem'), client_key: pem('client-key.pem') });
  answer = await rest(url, sol.admin, 'POST', '/api/v1/connections/docker/test', {});
  saw('sol: TLS with both certificates works', answer, answer.status === 200 && answer.json.detail.endsWith(': 1.'));

  for (let look = 0; look < 50; look += 1) {
    answer = await rest(url, luna.token, 'GET', '/api/v1/services');
    if (answer.json.services?.[1]?.health === 'healthy') break;
    await pause(200);
  }
  saw('luna: REST lists its services, from the labels', answer, answer.json.services?.map((one) => `${one.id} ${one.status}`).join() === 'job error,tienda active');
  answer = (await mcp(url, sol.token, 'services_list', {})).result;
  saw('sol: MCP lists its own', answer.structuredContent, answer.structuredContent.services.map((one) => one.id).join() === 'web');
  answer = await rest(url, luna.token, 'GET', '/api/v1/containers');
  saw('luna: containers with uptime and ports', answer, answer.json.containers.length === 2 && answer.json.containers[1].ports[0] === `127.0.0.1:${port}->80/tcp`);
  answer = (await mcp(url, luna.token, 'containers_list', { filter: 'error' })).result.structuredContent;
  saw('luna: the one that ended with exit code 7 is in error', answer, answer.containers.map((one) => one.name).join() === 'luna-job');

  await rest(url, luna.admin, 'PUT', '/api/v1/services/shop', {
    type: 'frontend', name: 'Tienda', container: 'tienda', url: 'https://luna.example.cl', health_url: `http://127.0.0.1:${port}/index.html`,
  });
  answer = await rest(url, luna.token, 'GET', '/api/v1/services/health');
  saw('luna: a registered service is asked itself, through the guard', answer, answer.json.services?.[0]?.status === 'healthy' && answer.json.services[0].response_time !== null);
  await rest(url, luna.admin, 'DELETE', '/api/v1/services/shop');

  answer = await rest(url, luna.token, 'GET', '/api/v1/services/tienda/logs?lines=3');
  saw('luna: the last lines, without escape sequences', answer, answer.json.lines.length === 3 && /^tick \d+$/.test(answer.json.lines[2]));
  const before = Date.now();
  const followed = rest(url, luna.token, 'GET', '/api/v1/services/tienda/logs?lines=1&follow=true');
  const told = await mcp(url, luna.token, 'services_logs', { service_id: 'tienda', lines: 1, follow: true }, 'p');
  answer = await followed;
  const took = Math.round((Date.now() - before) / 1000);
  saw(`luna: REST follows for ${took} s, as events`, answer.json.slice(-3), took <= 33 && answer.json.length > 20 && answer.json.at(-1).startsWith('event: end'));
  const progress = told.messages.filter((message) => message.method === 'notifications/progress');
  saw('luna: MCP follows, as progress and then as the result', [progress.length, progress.at(-1), told.result.structuredContent.lines.length], progress.length > 20);

  answer = await rest(url, luna.token, 'POST', '/api/v1/services/tienda/restart', {});
  saw('luna: REST restarts the service and waits until it is well', answer, answer.json.new_status === 'running' && answer.json.previous_uptime > 20);
  answer = (await mcp(url, luna.token, 'services_health', { service_id: 'tienda' })).result.structuredContent;
  saw('luna: its health is fresh', answer, answer.services[0].status === 'healthy' && answer.services[0].uptime < 10);
  answer = (await mcp(url, luna.token, 'containers_restart', { container_id: 'luna-tienda' })).result.structuredContent;
  saw('luna: MCP restarts a container by name', answer, answer.status === 'restarted');

  answer = await rest(url, luna.token, 'POST', '/api/v1/services/tienda/deploy', { version: '2' });
  saw('luna: version 2 is deployed over REST (no registry can be asked here: the image is on the machine)', answer, answer.json.status === 'deployed');
  const kept = { volume: volume() === volumeBefore, networks: networks() === networksBefore, containers: names() === namesBefore, page: await (await fetch(`http://127.0.0.1:${port}/index.html`)).text() };
  saw('luna: its volume, networks, port and name are as before, and nothing is left lying about', kept, kept.volume && kept.networks && kept.containers && kept.page === 'tienda 2\n');
  const env = docker('inspect', '-f', '{{json .Config.Env}}', 'luna-tienda');
  saw("luna: its own environment and the new image's", env, env.includes('OWN=luna') && env.includes('KEY=of-image-2') && !env.includes('of-image-1'));
  answer = (await mcp(url, luna.token, 'services_deploy', { service_id: 'tienda', version: '2' })).result.structuredContent;
  saw('luna: the same version again is nothing to do', answer, answer.status === 'deployed' && answer.unchanged);
  for (const [version, why] of [['3', 'cannot find its data'], ['4', 'exit code 3'], ['99', 'cannot be pulled']]) {
    answer = (await mcp(url, luna.token, 'services_deploy', { service_id: 'tienda', version })).result.structuredContent;
    const page = await (await fetch(`http://127.0.0.1:${port}/index.html`).catch(() => null))?.text();
    saw(`luna: version ${version} fails, and version 2 answers again (${page?.trim()})`, answer, answer.status === 'failed' && answer.error.includes(why) && page === 'tienda 2\n' && names() === namesBefore);
  }
  const both = await Promise.all(['1', '1'].map((version) => rest(url, luna.token, 'POST', '/api/v1/services/tienda/deploy', { version })));
  const outcomes = both.map((one) => one.json.status === 'deployed' ? 'deployed' : one.json.code).sort();
  saw('luna: of two deployments at once one is done and the other refused', outcomes, outcomes.join() === 'deployed,deployment_running' && names() === namesBefore);

  // What the containers take: one of them is made to work and to hold 128 MiB, and Docker's own command is asked beside us.
  docker('exec', '-d', 'luna-tienda', '/bin/sh', '-c', 'x=0123456789abcdef; n=0; while test $n -lt 23; do x=$x$x; n=$((n + 1)); done; while test $n -lt 8000000; do n=$((n + 1)); done');
  await pause(1500);
  answer = await rest(url, luna.token, 'GET', '/api/v1/infra/status');
  const own = JSON.parse(docker('stats', '--no-stream', '--format', '{{json .}}', 'luna-tienda'));
  const inspected = { dockers_own: { CPUPerc: own.CPUPerc, MemPerc: own.MemPerc }, cpus: cpus().length };
  const memory = answer.json.memory_usage > 0.3 && Math.abs(answer.json.memory_usage - parseFloat(own.MemPerc)) < 0.3;
  saw("luna: infra_status measures what its containers take, without a Prometheus", { ...answer, inspected },
    answer.json.usage_of === 'containers' && answer.json.vps_status === 'up' && answer.json.cpu_usage > 5 && answer.json.cpu_usage <= 100 &&
    Math.abs(answer.json.cpu_usage - parseFloat(own.CPUPerc) / cpus().length) < 25 && memory);
  answer = await rest(url, sol.token, 'GET', '/api/v1/infra/status');
  saw("sol: its own container does next to nothing, whatever luna's do", answer, answer.json.usage_of === 'containers' && answer.json.cpu_usage < 5);
  answer = await operator('PUT', '/api/v1/connections/prometheus', { url: `http://127.0.0.1:${prometheusPort}`, credential: {} }, luna.id);
  saw('luna: connects a real Prometheus beside its Docker', answer, answer.status === 200);
  for (let look = 0; look < 60; look += 1) {
    answer = await rest(url, luna.token, 'GET', '/api/v1/infra/status');
    if (answer.json.cpu_usage !== null && answer.json.usage_of === 'hosts') break;
    await pause(1000);
  }
  saw('luna: infra_status tells of the host by Prometheus, and of containers and services by Docker', answer,
    answer.json.usage_of === 'hosts' && answer.json.vps_status === 'up' && answer.json.disk_usage > 0 && answer.json.containers.running > 0 &&
    answer.json.services.total > 0 && answer.json.unavailable.length === 0);

  const theirs = docker('inspect', '-f', '{{.Id}}', 'luna-tienda');
  for (const named of ['luna-tienda', theirs, theirs.slice(0, 12), 'nobodys']) {
    answer = await rest(url, sol.token, 'POST', `/api/v1/containers/${named}/restart`, {});
    saw(`sol: '${named.slice(0, 12)}' is not found`, answer, answer.status === 404);
  }
  for (const tool of ['services_logs', 'services_restart', 'services_deploy']) {
    answer = (await mcp(url, sol.token, tool, { service_id: 'tienda' })).result;
    saw(`sol: ${tool} of luna's service is not found`, answer.content[0].text, answer.isError);
  }
  answer = await rest(url, sol.token, 'POST', '/api/v1/services/web/deploy', { version: '2' });
  saw('sol: deploys its own over TLS', answer, answer.json.status === 'deployed');

  // A gateway that dies in the middle of a deployment: it is killed while the new container waits to be called well.
  const dying = rest(url, luna.token, 'POST', '/api/v1/services/tienda/deploy', { version: '2' }).catch(() => null);
  for (let look = 0; look < 200 && !names().includes('luna-tienda-old'); look += 1) await pause(20);
  child.kill('SIGKILL');
  await dying;
  saw('the gateway is killed in the middle of a deployment', names(), names().includes('luna-tienda-old'));
  url = await gateway();
  answer = await rest(url, luna.token, 'GET', '/api/v1/services');
  saw('started again, it tells of it', answer, answer.json.services[1].unfinished_deployment === true && answer.json.services.length === 2);
  answer = await rest(url, luna.token, 'POST', '/api/v1/services/tienda/deploy', { version: '2' });
  saw('while somebody may still be at it, another deployment is refused', answer, answer.json.code === 'deployment_running');
  const until = Number(docker('ps', '-a', '--filter', 'label=smarteros.until', '--filter', 'name=luna-tienda', '--format', '{{.Label "smarteros.until"}}').split('\n').sort().at(-1));
  await pause(Math.max(0, until - Date.now()) + 1000);
  answer = await rest(url, luna.token, 'POST', '/api/v1/services/tienda/deploy', { version: '2' });
  saw('after that it is settled, and the deployment goes on', answer, answer.json.status === 'deployed' && names() === namesBefore);
  const page = await (await fetch(`http://127.0.0.1:${port}/index.html`)).text();
  saw('and version 2 answers', page.trim(), page === 'tienda 2\n' && volume() === volumeBefore);
}

try {
  await main();
} catch (error) {
  failures += 1;
  console.log(`- **FAILED**: ${error.stack}`);
} finally {
  child?.kill('SIGTERM');
  await pause(300);
  rmSync(folder, { recursive: true, force: true });
}
console.log(failures === 0 ? '\nEverything as it should be.' : `\n${failures} failed.`);
process.exitCode = failures === 0 ? 0 : 1;
