// Works on a Botpress with Botpress' own client, and prints what it saw and did.
import { Client, isApiError } from '@botpress/client';
import { run } from './common.mjs';

// The address comes by BP_API_URL, the token by BP_TOKEN, the workspace by BP_WORKSPACE_ID, as everywhere.
const { BOTPRESS_HOST: Host, BOTPRESS_BOT: botId, BOTPRESS_OTHER: other } = process.env;
const client = (more = {}) => new Client({ botId, headers: { Host }, ...more });

/** The type of the error of a call that must fail. */
async function refused(call) {
  try {
    await call;
  } catch (error) {
    if (isApiError(error)) return { code: error.code, type: error.type };
    throw error;
  }
  throw new Error('a call that must fail did not');
}

run(async () => {
  const botpress = client();
  const day = 24 * 60 * 60 * 1000;
  const bots = await botpress.list.bots({ pageSize: 1 }).collect();
  const { bot } = await botpress.getBot({ id: botId });
  const conversations = await botpress.list.conversations({ sortField: 'updatedAt', sortDirection: 'desc', pageSize: 2 }).collect();
  const messages = await botpress.list.messages({ conversationId: conversations[0].id }).collect();
  const { records } = await botpress.getBotAnalytics({
    id: botId,
    startDate: new Date(Date.now() - 6.5 * day).toISOString(),
    endDate: new Date().toISOString(),
  });
  const sum = (of) => records.reduce((all, record) => all + of(record), 0);
  const { versions } = await botpress.listBotVersions({ id: botId });
  const deployed = await botpress.deployBotVersion({ id: botId, versionId: versions[0].id });
  const { bot: changed } = await botpress.updateBot({ id: botId, blocked: true, configuration: { data: { saludo: 'Buenas' } } });
  const said = {
    account: (await botpress.getAccount({})).account.id,
    bots: bots.map(({ id, deployedAt }) => ({ id, deployed: deployedAt !== undefined })),
    integrations: Object.values(bot.integrations).filter(({ enabled }) => enabled).map(({ name }) => name),
    conversations: conversations.map(({ id, integration, messageCount }) => ({ id, integration, messageCount })),
    directions: messages.map(({ direction }) => direction),
    sessions: sum(({ sessions }) => sessions),
    completed: sum(({ customEvents }) => customEvents.task_completed) / sum(({ customEvents }) => customEvents.task_started),
    versions: versions.map(({ name }) => name),
    deployed,
    configuration: changed.configuration.data,
    wrong_token: await refused(client({ token: 'bp_pat_wrong' }).listBots({})),
    wrong_workspace: await refused(client({ workspaceId: 'wkspace_none' }).listBots({})),
    other_bot: await refused(botpress.getBot({ id: other })),
    wrong_version: await refused(botpress.deployBotVersion({ id: botId, versionId: 'ver_none' })),
    wrong_page: await refused(botpress.listConversations({ pageSize: 500 })),
    wrong_change: await refused(botpress.updateBot({ id: botId, configuration: { data: { saludo: 7 } } })),
  };
  process.stdout.write(`${JSON.stringify(said)}\n`, () => process.exit(0));
});
