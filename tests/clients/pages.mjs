// Looks at the pages of sign-in with Chromium, in both languages, on a desktop and a phone, and on a desktop by night: axe-core says what
// keeps whom from using them, and they must fit the screen. By day they are also taken as pictures, into the folder PICTURES where it is set.
// Prints one line of JSON: what was looked at, and what was found.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open } from './chromium.mjs';
import { run } from './common.mjs';

const { MCP_URL: gateway, MCP_TOKEN: token, PICTURES: pictures } = process.env;
const axe = fileURLToPath(new URL('node_modules/axe-core/axe.min.js', import.meta.url));
const screens = { desktop: { width: 1000, height: 760 }, phone: { width: 390, height: 760 } };
const words = {
  es: { label: 'Token de acceso', enter: 'Iniciar sesión', heading: '¿Conectar esta aplicación?', allow: 'Permitir', done: 'Listo: lo permitiste' },
  en: { label: 'Access token', enter: 'Sign in', heading: 'Connect this application?', allow: 'Allow', done: 'Done: you have allowed it' },
};
const application = 'http://localhost:3118/oauth/callback';
const looked = [];
const found = [];

run(async () => {
  const asking = await ask();
  const { browser, context } = await open();
  await context.close();
  for (const [language, word] of Object.entries(words)) {
    for (const colorScheme of ['light', 'dark']) {
      const context = await browser.newContext({ locale: language === 'es' ? 'es-CL' : 'en-US', colorScheme, reducedMotion: 'reduce' });
      await context.addInitScript({ path: axe });
      // No content: the browser stays on the page that leads there.
      await context.route(`${application}**`, (route) => route.fulfill({ status: 204 }));
      const page = await context.newPage();
      const look = async (name) => {
        for (const [screen, size] of Object.entries(screens)) {
          if (colorScheme === 'dark' && screen === 'phone') continue;
          await page.setViewportSize(size);
          await inspect(page, `${name}-${language}-${screen}`, colorScheme);
        }
      };
      await page.goto(asking);
      await look('sign-in');
      await page.getByLabel(word.label, { exact: true }).fill('smcp_no-token-of-ours');
      await page.getByRole('button', { name: word.enter }).click();
      await page.getByRole('alert').waitFor();
      await look('sign-in-refused');
      await page.getByLabel(word.label, { exact: true }).fill(token);
      // By the keyboard alone.
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: word.heading }).waitFor();
      await look('consent');
      await page.getByRole('button', { name: word.allow, exact: true }).click();
      await page.getByRole('heading', { name: word.done }).waitFor();
      await look('onward');
      await page.goto(`${gateway}/oauth/applications`);
      await look('applications');
      await context.close();
    }
  }
  await browser.close();
  process.stdout.write(`${JSON.stringify({ looked, found })}\n`, () => process.exit(0));
}, 100);

/** Where an application, which registers first, sends its user. */
async function ask() {
  const registered = await fetch(`${gateway}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'MCP CLI Proxy', redirect_uris: [application] }),
  });
  const { client_id } = await registered.json();
  const query = new URLSearchParams({
    response_type: 'code',
    client_id,
    redirect_uri: application,
    scope: 'read:crm write:workflows read:analytics read:support',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    resource: `${gateway}/mcp`,
  });
  return `${gateway}/oauth/authorize?${query}`;
}

async function inspect(page, name, colorScheme) {
  looked.push(`${name}-${colorScheme}`);
  const { passes, violations } = await page.evaluate(() =>
    axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  if (passes.length < 10) found.push({ page: name, id: 'axe-core saw next to nothing' });
  for (const { id, help, nodes } of violations) found.push({ page: `${name}-${colorScheme}`, id, help, where: nodes[0]?.html });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  if (wide) found.push({ page: name, id: 'wider than the screen' });
  if (pictures && colorScheme === 'light' && /^(sign-in|consent)-(es|en)-/.test(name)) {
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }
}
