// A headless Chromium at the gateway's pages, used as a member uses them: by what stands on labels and buttons, in English unless said.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const commands = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A browser that reaches this machine alone. Scripts are off, as the pages are to work without, unless they are asked for. */
export async function open(more = {}) {
  const browser = await chromium.launch({
    executablePath: commands.find((command) => command && existsSync(command)),
    // Root may not use Chromium's own sandbox; what it looks at here is ours.
    args: process.getuid() === 0 ? ['--no-sandbox'] : [],
  });
  const context = await browser.newContext({ locale: 'en-US', javaScriptEnabled: false, ...more });
  await context.route(
    (url) => !['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname),
    (route) => route.abort(),
  );
  context.setDefaultTimeout(15_000);
  return { browser, context };
}

/** Signs in with a token, where an application has sent us, up to the page that asks what it may do. */
export async function signIn(page, url, token) {
  await page.goto(url);
  await page.getByLabel('Access token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Connect this application?' }).waitFor();
}

/** Allows what is asked, or presses another button, and answers what stood on the page; the browser is back at the application then. */
export async function allow(page, button = 'Allow') {
  const asked = await page.getByRole('main').innerText();
  const gateway = new URL(page.url()).origin;
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.waitForURL((url) => url.origin !== gateway);
  return asked;
}
