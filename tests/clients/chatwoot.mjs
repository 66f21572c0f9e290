// Reads a Chatwoot with a published client of it (generated from Chatwoot's own API document), and prints what it saw.
import sdk from '@figuro/chatwoot-sdk';
import { run } from './common.mjs';

const { default: ChatwootClient, ApiError } = sdk;
const { CHATWOOT_URL: base, CHATWOOT_HOST: Host, CHATWOOT_TOKEN: token, CHATWOOT_ACCOUNT } = process.env;
const accountId = Number(CHATWOOT_ACCOUNT);
const client = (token) =>
  new ChatwootClient({ config: { basePath: base, with_credentials: true, credentials: 'include', token, headers: { Host } } });

/** The status and the words of a call that must fail. */
async function refused(call) {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return { status: error.status, body: error.body };
    throw error;
  }
  throw new Error('a call that must fail did not');
}

run(async () => {
  const chatwoot = client(token);
  const profile = await chatwoot.profile.profile();
  const open = await chatwoot.conversations.list({ accountId });
  const counts = await chatwoot.conversations.getMeta({ accountId, status: 'all' });
  const filtered = await chatwoot.conversations.filter({
    accountId,
    page: 1,
    payload: [
      { attribute_key: 'assignee_id', filter_operator: 'equal_to', values: ['2'], query_operator: 'and' },
      { attribute_key: 'status', filter_operator: 'equal_to', values: ['pending'], query_operator: null },
    ],
  });
  const one = await chatwoot.conversations.get({ accountId, conversationId: open.data.payload[0].id });
  const agents = await chatwoot.agents.list({ accountId });
  const day = 24 * 60 * 60;
  const until = Math.floor(Date.now() / 1000);
  const summary = await chatwoot.reports.listSummaries({ accountId, type: 'account', since: String(until - 7 * day), until: String(until) });
  const live = await chatwoot.reports.getMetrics({ accountId, type: 'account' });
  const loads = await chatwoot.reports.getAgentMetrics({ accountId, type: 'agent' });
  const said = {
    accounts: profile.accounts.map(({ id, role }) => ({ id, role })),
    open: open.data.payload.map(({ id, status, meta, unread_count }) => ({ id, status, contact: meta.sender.name, unread_count })),
    counted: counts.meta.all_count,
    filtered: filtered.payload.map(({ id }) => id),
    one: one.id,
    agents: agents.map(({ id, name, availability_status }) => ({ id, name, availability_status })),
    resolution: Number(summary.avg_resolution_time),
    live,
    loads: loads.map(({ id, metric }) => ({ id, open: metric.open })),
    wrong_token: await refused(client('wrong').agents.list({ accountId })),
    other_account: await refused(chatwoot.agents.list({ accountId: 999 })),
    wrong_filter: await refused(
      chatwoot.conversations.filter({
        accountId,
        page: 1,
        payload: [{ attribute_key: 'shoe_size', filter_operator: 'equal_to', values: ['42'], query_operator: null }],
      }),
    ),
  };
  process.stdout.write(`${JSON.stringify(said)}\n`, () => process.exit(0));
});
