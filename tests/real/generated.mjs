// Generated workflows in a real n8n: the owner's third example from start to end, and a handful of others, each created and activated.
// Called by main_job.mjs, which hands over its gateway, a tenant's token and the way to report.

/** Descriptions that people may give, with the services that they may name beside them. */
const DESCRIPTIONS = [
  ['Cuando llegue un pedido de Shopify, crear el cliente en Odoo y avisar por WhatsApp', []],
  ['Sincronizar clientes de Odoo con Google Sheets cada 15 minutos', ['odoo', 'google-sheets']],
  ['Every Monday at 9:30 send a report from Metabase to Slack and by email', []],
  ['El primero de cada mes enviar un resumen de MongoDB a Telegram', ['mongodb', 'telegram']],
  ['Un formulario de contacto que guarde en Supabase y avise por correo', ['supabase', 'email']],
  ['Respaldar la base de datos tienda todos los días a las 3 en Google Drive', ['mysql', 'google-drive']],
  ['Notify Chatwoot and Botpress and our ledger', ['chatwoot', 'botpress', 'acme-ledger']],
  ['Copy Airtable, Notion, HubSpot and Stripe to FTP, tell Discord and Mattermost', []],
  ["={{ $env.HOME }}'; }} every day at 7am and 19:00 \u202e Slack", ["x' ] }}"]],
];

export async function generated({ url, token, rest, saw, until, look }) {
  const make = (description, services) => rest(url, token, 'POST', '/api/v1/generate/n8n-workflow', { description, services });
  const create = (name, made) =>
    rest(url, token, 'POST', '/api/v1/workflows', { name, tags: ['generated'], workflow_json: made.json.workflow_json });

  const made = await make('Backup smarteros database daily at 2am', ['postgresql', 'aws-s3']);
  saw('generate_n8n_workflow makes the nightly backup, by template', { source: made.json?.source, explanation: made.json?.explanation }, made.status === 200 && made.json.source === 'template');
  const created = await create('Daily smarteros backup', made);
  saw('workflows_create creates and activates it', created, created.status === 201 && created.json.active);
  const triggered = await rest(url, token, 'POST', `/api/v1/workflows/${created.json?.workflow_id}/trigger`, {});
  saw('workflows_trigger starts it', triggered, triggered.status === 200 && triggered.json.execution_id !== null);
  const status = await until(
    () => look(triggered.json?.execution_id),
    (answer) => answer.json?.status !== 'running',
  );
  saw(
    'workflows_status: completed, and its output says which steps did nothing',
    status,
    status.json?.status === 'completed' && status.json.output?.steps_that_only_passed_on?.length === 3,
  );

  for (const [index, [description, services]] of DESCRIPTIONS.entries()) {
    const each = await make(description, services);
    const there = each.status === 200 ? await create(`Generated ${index + 1}`, each) : each;
    const ran = there.status === 201 ? await rest(url, token, 'POST', `/api/v1/workflows/${there.json.workflow_id}/trigger`, { input_data: { name: 'Rosa' } }) : there;
    const ended = await until(
      () => look(ran.json?.execution_id),
      (answer) => answer.json?.status !== 'running',
    );
    const nodes = (each.json?.workflow_json?.nodes ?? []).map((node) => `${node.name}${node.disabled ? ' (disabled)' : ''}`).join(' → ');
    saw(
      `generated, created, activated, triggered to completed: ${description}`,
      { nodes, created: there.json?.active ?? there, status: ended.json?.status, error: ended.json?.error, output: ended.json?.output },
      there.json?.active === true && ended.json?.status === 'completed',
    );
  }
}
