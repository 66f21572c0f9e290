// The resources, and a method for each tool. Written by `make sdk` from openapi/smartermcp.json: do not edit.

import type { CallOptions } from '../options.js';
import type { PagePromise } from '../pages.js';
import type { Transport } from '../transport.js';
import * as operations from './operations.js';
import type {
  AnalyticsDashboard,
  AnalyticsDashboardsParameters,
  AnalyticsDashboardsResult,
  AnalyticsKpisParameters,
  AnalyticsKpisResult,
  AnalyticsReportsParameters,
  AnalyticsReportsResult,
  Application,
  ApplicationsListParameters,
  ApplicationsListResult,
  ApplicationsRevokeParameters,
  AuditEntry,
  AuditListParameters,
  AuditListResult,
  Bot,
  BotConversation,
  BotsAnalyticsParameters,
  BotsAnalyticsResult,
  BotsConversationsParameters,
  BotsConversationsResult,
  BotsDeployParameters,
  BotsDeployResult,
  BotsListParameters,
  BotsListResult,
  Connection,
  ConnectionsGetParameters,
  ConnectionsListParameters,
  ConnectionsListResult,
  ConnectionsRemoveParameters,
  ConnectionsSetParameters,
  ConnectionsTestParameters,
  ConnectionsTestResult,
  Container,
  ContainersListParameters,
  ContainersListResult,
  ContainersRestartParameters,
  ContainersRestartResult,
  CrmContact,
  CrmContactsListParameters,
  CrmContactsListResult,
  CrmContactsSearchParameters,
  CrmOpportunitiesListParameters,
  CrmOpportunitiesListResult,
  CrmOpportunity,
  CrmPipelineStatusResult,
  CrmRecordsUpsertParameters,
  CrmRecordsUpsertResult,
  DocSchemasTable,
  DocsApisParameters,
  DocsApisResult,
  DocsSchemasParameters,
  DocsSchemasResult,
  DocsServicesParameters,
  DocsServicesResult,
  GenerateApiClientParameters,
  GenerateApiClientResult,
  GenerateBotpressSkillParameters,
  GenerateBotpressSkillResult,
  GenerateN8nWorkflowParameters,
  GenerateN8nWorkflowResult,
  InfraMetricsParameters,
  InfraMetricsResult,
  InfraStatusResult,
  Kpi,
  KpisDeleteParameters,
  KpisListParameters,
  KpisListResult,
  KpisSetParameters,
  Member,
  MembersInviteParameters,
  MembersListParameters,
  MembersListResult,
  MembersRemoveParameters,
  Service,
  ServiceHealth,
  ServicesDeleteParameters,
  ServicesDeployParameters,
  ServicesDeployResult,
  ServicesHealthParameters,
  ServicesHealthResult,
  ServicesListParameters,
  ServicesListResult,
  ServicesLogsParameters,
  ServicesLogsResult,
  ServicesRestartParameters,
  ServicesRestartResult,
  ServicesSetParameters,
  ServicesSetResult,
  SupportAgentStatus,
  SupportAgentsStatusParameters,
  SupportAgentsStatusResult,
  SupportConversation,
  SupportConversationsListParameters,
  SupportConversationsListResult,
  SupportConversationsSearchParameters,
  SupportMetricsParameters,
  SupportMetricsResult,
  Switch,
  SwitchesCreateParameters,
  SwitchesListResult,
  SwitchesRemoveParameters,
  Tenant,
  TenantsCreateParameters,
  TenantsDeleteParameters,
  TenantsGetParameters,
  TenantsListParameters,
  TenantsListResult,
  TenantsUpdateParameters,
  Token,
  TokensCreateParameters,
  TokensCreateResult,
  TokensGetParameters,
  TokensListParameters,
  TokensListResult,
  TokensRevokeParameters,
  TokensRotateParameters,
  UsageGetDay,
  UsageGetParameters,
  UsageGetResult,
  Workflow,
  WorkflowsCreateParameters,
  WorkflowsCreateResult,
  WorkflowsListParameters,
  WorkflowsListResult,
  WorkflowsStatusParameters,
  WorkflowsStatusResult,
  WorkflowsTriggerParameters,
  WorkflowsTriggerResult,
} from './types.js';

/** `client.analytics` */
export class AnalyticsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the tenant's dashboards in Metabase, with the address at which people open each.
   *
   * Example: `{"limit": 20}`. For a figure use `analytics_kpis`, for the rows behind a question `analytics_reports`.
   *
   * Needs the scope `read:analytics`.
   *
   * The tool `analytics_dashboards`, since version 1.0.0 of the gateway.
   */
  dashboards(parameters: AnalyticsDashboardsParameters = {}, options?: CallOptions): PagePromise<AnalyticsDashboard, AnalyticsDashboardsResult> {
    return this.#transport.list(operations.analyticsDashboards, parameters, options);
  }

  /**
   * Tell the tenant's key figures, such as the month's revenue or the conversion rate, as they stand now.
   *
   * Example: `{"kpis": ["revenue_mtd", "conversion_rate"]}`; without names it tells all that the tenant has. An administrator maps a name to a saved question of Metabase with `kpis_set`.
   *
   * Needs the scope `read:analytics`.
   *
   * The tool `analytics_kpis`, since version 1.0.0 of the gateway.
   */
  kpis(parameters: AnalyticsKpisParameters = {}, options?: CallOptions): Promise<AnalyticsKpisResult> {
    return this.#transport.call(operations.analyticsKpis, parameters, options);
  }

  /**
   * Answer a question about the business with a table: from the tenant's saved questions in Metabase where one fits, and `question` says which; else, where the tenant allows it, by a query that is written for it, and `sql` shows it.
   *
   * Example: `{"query": "diez mejores clientes por ingresos del mes", "format": "markdown"}`. The number or the exact name of a saved question is always understood. For single figures use `analytics_kpis`.
   *
   * Needs the scope `read:analytics`.
   *
   * The tool `analytics_reports`, since version 1.0.0 of the gateway.
   */
  reports(parameters: AnalyticsReportsParameters, options?: CallOptions): Promise<AnalyticsReportsResult> {
    return this.#transport.call(operations.analyticsReports, parameters, options);
  }
}

/** `client.kpis` */
export class KpisResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List how a tenant's KPIs are mapped: which saved question of its Metabase answers each. Their values are told by `analytics_kpis`.
   *
   * Example: `{"limit": 20}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `kpis_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: KpisListParameters = {}, options?: CallOptions): PagePromise<Kpi, KpisListResult> {
    return this.#transport.list(operations.kpisList, parameters, options);
  }

  /**
   * Take a KPI of a tenant off the map. The saved question stays as it is.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `kpis_delete`, since version 1.0.0 of the gateway.
   */
  delete(parameters: KpisDeleteParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.kpisDelete, parameters, options);
  }

  /**
   * Map a KPI of a tenant to a saved question of its Metabase, or change it: it replaces what was mapped under this name.
   *
   * The question must answer one row. Whether it exists is seen when `analytics_kpis` asks it.
   * Example: `{"name": "revenue_mtd", "card_id": 1, "unit": "CLP"}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `kpis_set`, since version 1.0.0 of the gateway.
   */
  set(parameters: KpisSetParameters, options?: CallOptions): Promise<Kpi> {
    return this.#transport.call(operations.kpisSet, parameters, options);
  }
}

/** `client.applications` */
export class ApplicationsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the applications that are connected to a tenant, whoever allowed them: their names, scopes, and when they were last used.
   *
   * Example: `{"limit": 20}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `applications_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: ApplicationsListParameters = {}, options?: CallOptions): PagePromise<Application, ApplicationsListResult> {
    return this.#transport.list(operations.applicationsList, parameters, options);
  }

  /**
   * Take a connected application's access away. It is refused everywhere within a second, and can ask its member again.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `applications_revoke`, since version 1.0.0 of the gateway.
   */
  revoke(parameters: ApplicationsRevokeParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.applicationsRevoke, parameters, options);
  }
}

/** `client.audit` */
export class AuditResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List a tenant's audit entries, newest first: who called which tool, with what outcome. Arguments are kept as a hash only.
   *
   * An entry that stays `open` is a write whose process died in the middle.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `audit_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: AuditListParameters = {}, options?: CallOptions): PagePromise<AuditEntry, AuditListResult> {
    return this.#transport.list(operations.auditList, parameters, options);
  }
}

/** `client.bots` */
export class BotsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the tenant's chatbots, to find the `bot_id` that the other tools of bots take.
   *
   * Example: `{"limit": 20}`.
   *
   * Needs the scope `read:bots`.
   *
   * The tool `bots_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: BotsListParameters = {}, options?: CallOptions): PagePromise<Bot, BotsListResult> {
    return this.#transport.list(operations.botsList, parameters, options);
  }

  /**
   * Show how one of the tenant's bots did: how many conversations and messages it had, what it was asked for, and how many tasks it completed.
   *
   * Example: `{"bot_id": "main", "period": "week"}`. `completion_rate` and `top_intents` need a bot that tracks the events
   * `task_started`, `task_completed` and `intent:…`.
   *
   * Needs the scope `read:bots`.
   *
   * The tool `bots_analytics`, since version 1.0.0 of the gateway.
   */
  analytics(parameters: BotsAnalyticsParameters, options?: CallOptions): Promise<BotsAnalyticsResult> {
    return this.#transport.call(operations.botsAnalytics, parameters, options);
  }

  /**
   * List the conversations of one of the tenant's bots, those with the latest activity first.
   *
   * Example: `{"bot_id": "bot_abc123", "limit": 20}`. `bots_list` shows which bots there are.
   *
   * Needs the scope `read:bots`.
   *
   * The tool `bots_conversations`, since version 1.0.0 of the gateway.
   */
  conversations(parameters: BotsConversationsParameters, options?: CallOptions): PagePromise<BotConversation, BotsConversationsResult> {
    return this.#transport.list(operations.botsConversations, parameters, options);
  }

  /**
   * Configure one of the tenant's bots, or switch it on or off; with neither, deploy its newest version.
   *
   * Example: `{"bot_id": "main", "active": false}` blocks the bot, `{"bot_id": "main", "configuration": {"saludo": "Hola"}}` sets its
   * configuration, and `{"bot_id": "main"}` makes the newest saved version the one that answers users. What was live before is
   * replaced: ask before you do it.
   *
   * Needs the scope `write:bots`.
   *
   * The tool `bots_deploy`, since version 1.0.0 of the gateway.
   */
  deploy(parameters: BotsDeployParameters, options?: CallOptions): Promise<BotsDeployResult> {
    return this.#transport.call(operations.botsDeploy, parameters, options);
  }
}

/** `client.connections` */
export class ConnectionsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List a tenant's connections, and what each backend's credential holds.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `connections_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: ConnectionsListParameters = {}, options?: CallOptions): PagePromise<Connection, ConnectionsListResult> {
    return this.#transport.list(operations.connectionsList, parameters, options);
  }

  /**
   * Remove a connection and its credential.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `connections_remove`, since version 1.0.0 of the gateway.
   */
  remove(parameters: ConnectionsRemoveParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.connectionsRemove, parameters, options);
  }

  /**
   * Show a connection, without its credential.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `connections_get`, since version 1.0.0 of the gateway.
   */
  get(parameters: ConnectionsGetParameters, options?: CallOptions): Promise<Connection> {
    return this.#transport.call(operations.connectionsGet, parameters, options);
  }

  /**
   * Connect a tenant to one of its backends: the address and the credential. Replaces the connection that may be there.
   *
   * Nothing is sent to the backend; `connections_test` does that. `connections_list` shows what each backend's credential holds.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `connections_set`, since version 1.0.0 of the gateway.
   */
  set(parameters: ConnectionsSetParameters, options?: CallOptions): Promise<Connection> {
    return this.#transport.call(operations.connectionsSet, parameters, options);
  }

  /**
   * Ask a connected backend whether address and credential work. Changes nothing there.
   *
   * When it does not work, the error says which part is wrong: address, certificate, credential or a permission.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `connections_test`, since version 1.0.0 of the gateway.
   */
  test(parameters: ConnectionsTestParameters, options?: CallOptions): Promise<ConnectionsTestResult> {
    return this.#transport.call(operations.connectionsTest, parameters, options);
  }
}

/** `client.containers` */
export class ContainersResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the tenant's containers, with what they run, since when, and their ports.
   *
   * These are the containers of its Docker that carry the tenant's label `smarteros.tenant`. Example: `{"filter": "error"}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `containers_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: ContainersListParameters = {}, options?: CallOptions): PagePromise<Container, ContainersListResult> {
    return this.#transport.list(operations.containersList, parameters, options);
  }

  /**
   * Restart one of the tenant's containers, by id or name.
   *
   * Example: `{"container_id": "tienda-1"}`. To restart all that belongs to a service, use `services_restart`.
   *
   * Needs the scope `write:services`.
   *
   * The tool `containers_restart`, since version 1.0.0 of the gateway.
   */
  restart(parameters: ContainersRestartParameters, options?: CallOptions): Promise<ContainersRestartResult> {
    return this.#transport.call(operations.containersRestart, parameters, options);
  }
}

/** `client.crm.contacts` */
export class CrmContactsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the contacts of the tenant's Odoo, oldest first: people and companies with their e-mail, phone and tags.
   *
   * To find somebody by name, e-mail, phone or RUT, use `crm_contacts_search`.
   * Example: `{"filter": {"country": "CL", "type": "customer", "tag": "mayorista"}, "limit": 20}` lists Chilean customers with that tag.
   *
   * Needs the scope `read:crm`.
   *
   * The tool `crm_contacts_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: CrmContactsListParameters = {}, options?: CallOptions): PagePromise<CrmContact, CrmContactsListResult> {
    return this.#transport.list(operations.crmContactsList, parameters, options);
  }

  /**
   * Search the contacts of the tenant's Odoo by name, e-mail, phone or RUT, and answer who fits.
   *
   * Phone and RUT are found in every Chilean spelling: `+56 9 8123 4567` and `981234567`, `76.086.428-5` and `760864285`.
   * Example: `{"query": "john@example.com"}`.
   *
   * Needs the scope `read:crm`.
   *
   * The tool `crm_contacts_search`, since version 1.0.0 of the gateway.
   */
  search(parameters: CrmContactsSearchParameters, options?: CallOptions): PagePromise<CrmContact, CrmContactsListResult> {
    return this.#transport.list(operations.crmContactsSearch, parameters, options);
  }
}

/** `client.crm.opportunities` */
export class CrmOpportunitiesResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the opportunities of the tenant's Odoo, oldest first: each with its contact, its stage and what it may bring in.
   *
   * Stages are told in these words where Odoo's own name is one of them, in English or Spanish; else as Odoo calls them. A lost
   * opportunity is an archived one with a probability of 0.
   * Example: `{"stage": "negotiation"}` lists what is being negotiated.
   *
   * Needs the scope `read:crm`.
   *
   * The tool `crm_opportunities_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: CrmOpportunitiesListParameters = {}, options?: CallOptions): PagePromise<CrmOpportunity, CrmOpportunitiesListResult> {
    return this.#transport.list(operations.crmOpportunitiesList, parameters, options);
  }
}

/** `client.crm.pipeline` */
export class CrmPipelineResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Show the pipeline of the tenant's Odoo in figures: how many opportunities there are in each stage, and what they may bring in.
   *
   * Lost opportunities are archived and not in the pipeline; they count in `conversion_rate`, which is the share of the won ones among
   * those that are decided.
   * Example: `{}`.
   *
   * Needs the scope `read:crm`.
   *
   * The tool `crm_pipeline_status`, since version 1.0.0 of the gateway.
   */
  status(options?: CallOptions): Promise<CrmPipelineStatusResult> {
    return this.#transport.call(operations.crmPipelineStatus, {}, options);
  }
}

/** `client.crm.records` */
export class CrmRecordsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Create a contact or an opportunity in the tenant's Odoo, or change one: with `id` that record is changed, and only in the fields that are given; without it a new one is made.
   *
   * Search first (`crm_contacts_search`), so that nobody is there twice. Examples: `{"kind": "contact", "fields": {"name": "Rosa Huenchur",
   * "phone": "+56 9 8123 4567", "tags": ["mayorista"]}}` makes a contact;
   * `{"kind": "opportunity", "id": 32, "fields": {"stage": "negotiation", "expected_revenue": 210000}}` moves an opportunity on.
   *
   * Needs the scope `write:crm`.
   *
   * The tool `crm_records_upsert`, since version 1.0.0 of the gateway.
   */
  upsert(parameters: CrmRecordsUpsertParameters, options?: CallOptions): Promise<CrmRecordsUpsertResult> {
    return this.#transport.call(operations.crmRecordsUpsert, parameters, options);
  }
}

/** `client.crm` */
export class CrmResource {
  readonly contacts: CrmContactsResource;
  readonly opportunities: CrmOpportunitiesResource;
  readonly pipeline: CrmPipelineResource;
  readonly records: CrmRecordsResource;

  constructor(transport: Transport) {
    this.contacts = new CrmContactsResource(transport);
    this.opportunities = new CrmOpportunitiesResource(transport);
    this.pipeline = new CrmPipelineResource(transport);
    this.records = new CrmRecordsResource(transport);
  }
}

/** `client.docs` */
export class DocsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Show the document of a service's API: its `OpenAPI` document where the service serves one, else what the gateway knows of it, as Markdown. Use it before writing a client or a workflow that calls the service.
   *
   * The services are the backends (`n8n`, `supabase`, …), `smartermcp` itself, and the tenant's own as `services_list` names them. A
   * document longer than 1 MiB is answered in part. Example: `{"service_id": "n8n"}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `docs_apis`, since version 1.0.0 of the gateway.
   */
  apis(parameters: DocsApisParameters, options?: CallOptions): Promise<DocsApisResult> {
    return this.#transport.call(operations.docsApis, parameters, options);
  }

  /**
   * List the tables of a database with their columns, and which column refers to which table. Use it before writing a query, a workflow or a report over the data.
   *
   * `supabase` is the tenant's own Supabase or `PostgREST`; `odoo` and `n8n` are what their APIs keep; `smarteros` is the platform's
   * database, as far as rows of the tenant lie in it. Example: `{"database": "supabase", "limit": 20}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `docs_schemas`, since version 1.0.0 of the gateway.
   */
  schemas(parameters: DocsSchemasParameters, options?: CallOptions): PagePromise<DocSchemasTable, DocsSchemasResult> {
    return this.#transport.list(operations.docsSchemas, parameters, options);
  }

  /**
   * Explain a service: what it is to the business, what it runs on, its endpoints, and examples of tool calls that use it. Use it to learn what a backend can do, or how to connect it.
   *
   * The services are the backends (`n8n`, `supabase`, `docker`, …), `smartermcp` itself, and the tenant's own as `services_list` names
   * them. What is said of the backends needs no connection. Example: `{"service_id": "n8n"}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `docs_services`, since version 1.0.0 of the gateway.
   */
  services(parameters: DocsServicesParameters, options?: CallOptions): Promise<DocsServicesResult> {
    return this.#transport.call(operations.docsServices, parameters, options);
  }
}

/** `client.generate` */
export class GenerateResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Generate a client for a service's API, from its `OpenAPI` document: one file that needs no dependency, with a method for each operation.
   *
   * It works for `smartermcp` (this gateway), for connected backends that show such a document (`n8n`, `supabase`, `metabase`), and for the tenant's own
   * services, as `services_list` names them, that serve one below their url. TypeScript and JavaScript use fetch, Python urllib; credentials are given to
   * the client when it is made. Example: `{"service_id": "smartermcp", "language": "python"}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `generate_api_client`, since version 1.0.0 of the gateway.
   */
  apiClient(parameters: GenerateApiClientParameters, options?: CallOptions): Promise<GenerateApiClientResult> {
    return this.#transport.call(operations.generateApiClient, parameters, options);
  }

  /**
   * Generate a skill for a Botpress bot from a description in words, Spanish or English: intents with what people say in both languages, slots, and actions.
   *
   * The tenant's language model writes it where one is connected (`source` is `llm`); else templates do, which know order status, opening hours, prices, refunds,
   * appointments, deliveries, complaints and handing over to a person. It is not deployed: `bots_deploy` takes `skill_json` as a bot's configuration, or somebody builds it in the studio.
   * Example: `{"description": "Answer questions on opening hours and order status, and hand over to a person"}`.
   *
   * Needs the scope `write:bots`.
   *
   * The tool `generate_botpress_skill`, since version 1.0.0 of the gateway.
   */
  botpressSkill(parameters: GenerateBotpressSkillParameters, options?: CallOptions): Promise<GenerateBotpressSkillResult> {
    return this.#transport.call(operations.generateBotpressSkill, parameters, options);
  }

  /**
   * Generate an n8n workflow from a description in words, Spanish or English. It is not created: hand `workflow_json` to `workflows_create`.
   *
   * The tenant's language model writes it where one is connected (`source` is `llm`, and the answer was checked); else templates do, which know schedules
   * ("daily at 2am", "todos los lunes a las 9:30"), events, forms, and the common services. Every workflow has a webhook, so that `workflows_trigger` can run it.
   * Steps that need a credential are disabled until somebody chooses one in n8n: `explanation` names them.
   * Example: `{"description": "Backup smarteros database daily at 2am", "services": ["postgresql", "aws-s3"]}`.
   *
   * Needs the scope `write:workflows`.
   *
   * The tool `generate_n8n_workflow`, since version 1.0.0 of the gateway.
   */
  n8nWorkflow(parameters: GenerateN8nWorkflowParameters, options?: CallOptions): Promise<GenerateN8nWorkflowResult> {
    return this.#transport.call(operations.generateN8nWorkflow, parameters, options);
  }
}

/** `client.infra` */
export class InfraResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Show how processor, memory, disks and network of the tenant's servers did over the last hour, hours or days.
   *
   * Example: `{"metric": "cpu", "period": "24h"}`. For how things stand now, `infra_status` is shorter.
   *
   * Needs the scope `read:services`.
   *
   * The tool `infra_metrics`, since version 1.0.0 of the gateway.
   */
  metrics(parameters: InfraMetricsParameters = {}, options?: CallOptions): Promise<InfraMetricsResult> {
    return this.#transport.call(operations.infraMetrics, parameters, options);
  }

  /**
   * Show how the tenant's servers stand now: whether they are up, how full processor, memory and disks are, how many containers run and how many services are healthy.
   *
   * Without Prometheus, processor and memory are what the tenant's containers take of their host, as `usage_of` says.
   * It takes no parameters. What cannot be told is null, and `unavailable` says why.
   *
   * Needs the scope `read:services`.
   *
   * The tool `infra_status`, since version 1.0.0 of the gateway.
   */
  status(options?: CallOptions): Promise<InfraStatusResult> {
    return this.#transport.call(operations.infraStatus, {}, options);
  }
}

/** `client.members` */
export class MembersResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List a tenant's members: who is invited, who has joined, and the most that each can allow an application.
   *
   * Example: `{"limit": 20}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `members_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: MembersListParameters = {}, options?: CallOptions): PagePromise<Member, MembersListResult> {
    return this.#transport.list(operations.membersList, parameters, options);
  }

  /**
   * Invite somebody by e-mail address to sign in and connect applications of his own to the tenant. No message is sent.
   *
   * The first account of the operator's OpenID provider that has this address, verified, takes the invitation; no other can afterwards.
   * Nobody invites to scopes that he does not hold himself. Example: `{"email": "ana@luna.cl", "scopes": ["read:crm", "read:analytics"]}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `members_invite`, since version 1.0.0 of the gateway.
   */
  invite(parameters: MembersInviteParameters, options?: CallOptions): Promise<Member> {
    return this.#transport.call(operations.membersInvite, parameters, options);
  }

  /**
   * Remove a member, invited or joined. The applications that he has connected lose their access within a second.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `members_remove`, since version 1.0.0 of the gateway.
   */
  remove(parameters: MembersRemoveParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.membersRemove, parameters, options);
  }
}

/** `client.services` */
export class ServicesResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the services of the tenant: what is deployed for it, whether it runs, and how it does.
   *
   * Without a registry by hand (`services_set`), these are the containers with the tenant's label, grouped by the label `smarteros.service`.
   * Example: `{"filter": "backend", "status": "active"}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `services_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: ServicesListParameters = {}, options?: CallOptions): PagePromise<Service, ServicesListResult> {
    return this.#transport.list(operations.servicesList, parameters, options);
  }

  /**
   * Ask how the services of the tenant do, now: Docker about their containers, and the services themselves where a `health_url` was registered.
   *
   * Example: `{"service_id": "tienda"}`, or `{}` for all.
   *
   * Needs the scope `read:services`.
   *
   * The tool `services_health`, since version 1.0.0 of the gateway.
   */
  health(parameters: ServicesHealthParameters = {}, options?: CallOptions): PagePromise<ServiceHealth, ServicesHealthResult> {
    return this.#transport.list(operations.servicesHealth, parameters, options);
  }

  /**
   * Take a service out of the registry. Its containers stay as they are.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `services_delete`, since version 1.0.0 of the gateway.
   */
  delete(parameters: ServicesDeleteParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.servicesDelete, parameters, options);
  }

  /**
   * Register a service of a tenant, or change one: it replaces what was registered under this id.
   *
   * Without any registered, a tenant's services are its containers, grouped by the label `smarteros.service`. With the first one, the registry is the list: register all. Example: `{"service_id": "tienda", "type": "frontend", "url": "https://tienda.example.cl", "health_url": "https://tienda.example.cl/health"}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `services_set`, since version 1.0.0 of the gateway.
   */
  set(parameters: ServicesSetParameters, options?: CallOptions): Promise<ServicesSetResult> {
    return this.#transport.call(operations.servicesSet, parameters, options);
  }

  /**
   * Deploy a version of a service: pull its image, put new containers in the place of the old ones, and go back where the new ones do not get well within a minute.
   *
   * The image is the service's own; only its version (the tag) is chosen. Waits for the outcome, up to two minutes: `status` is `deployed`, or `failed` with the reason in `error`; the old containers run again then.
   * Example: `{"service_id": "tienda", "version": "1.4.2"}`.
   *
   * Needs the scope `write:services`.
   *
   * The tool `services_deploy`, since version 1.0.0 of the gateway.
   */
  deploy(parameters: ServicesDeployParameters, options?: CallOptions): Promise<ServicesDeployResult> {
    return this.#transport.call(operations.servicesDeploy, parameters, options);
  }

  /**
   * Read the last lines that a service wrote, oldest first, and, with `follow`, what it writes during the next half minute.
   *
   * Lines of several containers are in the order of time, each after the container's name and ` | `. With `follow`, REST answers a stream of events (`line`, then `end`), and MCP sends each line as progress where the client asked for progress. Example: `{"service_id": "tienda", "lines": 50}`.
   *
   * Needs the scope `read:services`.
   *
   * The tool `services_logs`, since version 1.0.0 of the gateway.
   */
  logs(parameters: ServicesLogsParameters & { readonly follow: true }, options?: CallOptions): AsyncGenerator<string, ServicesLogsResult, undefined>;
  logs(parameters: ServicesLogsParameters & { readonly follow?: false }, options?: CallOptions): Promise<ServicesLogsResult>;
  logs(parameters: ServicesLogsParameters & { readonly follow?: boolean }, options?: CallOptions): AsyncGenerator<string, ServicesLogsResult, undefined> | Promise<ServicesLogsResult> {
    if (parameters.follow) return this.#transport.lines(operations.servicesLogs, parameters, options);
    return this.#transport.call(operations.servicesLogs, parameters, options);
  }

  /**
   * Restart a service: each of its containers in turn. Waits up to half a minute until it is well again.
   *
   * Example: `{"service_id": "tienda"}`. Where the answer says `starting`, ask `services_health` a little later.
   *
   * Needs the scope `write:services`.
   *
   * The tool `services_restart`, since version 1.0.0 of the gateway.
   */
  restart(parameters: ServicesRestartParameters, options?: CallOptions): Promise<ServicesRestartResult> {
    return this.#transport.call(operations.servicesRestart, parameters, options);
  }
}

/** `client.support.agents` */
export class SupportAgentsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Show the agents of the tenant's support team: who is online, busy or offline, and how many open conversations each has.
   *
   * Use it to see who can take a conversation. Example: `{"limit": 20}`.
   *
   * Needs the scope `read:support`.
   *
   * The tool `support_agents_status`, since version 1.0.0 of the gateway.
   */
  status(parameters: SupportAgentsStatusParameters = {}, options?: CallOptions): PagePromise<SupportAgentStatus, SupportAgentsStatusResult> {
    return this.#transport.list(operations.supportAgentsStatus, parameters, options);
  }
}

/** `client.support.conversations` */
export class SupportConversationsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the conversations of the tenant's customers with its support team, those with the latest activity first.
   *
   * Use it to see what waits for an answer, and for whom. Example: `{"status": "open", "assignee": "Camila Soto", "limit": 20}`.
   * To find what was said, or by whom, take `support_conversations_search`.
   *
   * Needs the scope `read:support`.
   *
   * The tool `support_conversations_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: SupportConversationsListParameters = {}, options?: CallOptions): PagePromise<SupportConversation, SupportConversationsListResult> {
    return this.#transport.list(operations.supportConversationsList, parameters, options);
  }

  /**
   * Search the conversations of the tenant's customers by what was said in them, or by the customer's name, e-mail address or phone number.
   *
   * It looks into conversations of any status. Example: `{"query": "refund request"}`.
   *
   * Needs the scope `read:support`.
   *
   * The tool `support_conversations_search`, since version 1.0.0 of the gateway.
   */
  search(parameters: SupportConversationsSearchParameters, options?: CallOptions): PagePromise<SupportConversation, SupportConversationsListResult> {
    return this.#transport.list(operations.supportConversationsSearch, parameters, options);
  }
}

/** `client.support` */
export class SupportResource {
  readonly #transport: Transport;
  readonly agents: SupportAgentsResource;
  readonly conversations: SupportConversationsResource;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.agents = new SupportAgentsResource(transport);
    this.conversations = new SupportConversationsResource(transport);
  }

  /**
   * Show how the tenant's support team did: how many conversations began and were resolved, how fast, and how content customers were.
   *
   * Example: `{"period": "week"}`. The connection needs the access token of an administrator.
   *
   * Needs the scope `read:support`.
   *
   * The tool `support_metrics`, since version 1.0.0 of the gateway.
   */
  metrics(parameters: SupportMetricsParameters = {}, options?: CallOptions): Promise<SupportMetricsResult> {
    return this.#transport.call(operations.supportMetrics, parameters, options);
  }
}

/** `client.switches` */
export class SwitchesResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List what is switched off. Only the operator may.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `switches_list`, since version 1.0.0 of the gateway.
   */
  list(options?: CallOptions): PagePromise<Switch, SwitchesListResult> {
    return this.#transport.list(operations.switchesList, {}, options);
  }

  /**
   * Switch off a tool, a backend, a tenant, or what several of them name together. Only the operator may.
   *
   * Calls are refused with the reason until `switches_remove`. Example: `{"backend": "n8n", "reason": "n8n is being upgraded"}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `switches_create`, since version 1.0.0 of the gateway.
   */
  create(parameters: SwitchesCreateParameters, options?: CallOptions): Promise<Switch> {
    return this.#transport.call(operations.switchesCreate, parameters, options);
  }

  /**
   * Switch something on again. Only the operator may.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `switches_remove`, since version 1.0.0 of the gateway.
   */
  remove(parameters: SwitchesRemoveParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.switchesRemove, parameters, options);
  }
}

/** `client.tenants` */
export class TenantsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List tenants: all of them for the operator, its own for a tenant's administrator.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tenants_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: TenantsListParameters = {}, options?: CallOptions): PagePromise<Tenant, TenantsListResult> {
    return this.#transport.list(operations.tenantsList, parameters, options);
  }

  /**
   * Create a tenant. Only the operator may.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tenants_create`, since version 1.0.0 of the gateway.
   */
  create(parameters: TenantsCreateParameters, options?: CallOptions): Promise<Tenant> {
    return this.#transport.call(operations.tenantsCreate, parameters, options);
  }

  /**
   * Delete a tenant: its tokens are revoked and its connections removed, for good. Only the operator may.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tenants_delete`, since version 1.0.0 of the gateway.
   */
  delete(parameters: TenantsDeleteParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.tenantsDelete, parameters, options);
  }

  /**
   * Show a tenant.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tenants_get`, since version 1.0.0 of the gateway.
   */
  get(parameters: TenantsGetParameters, options?: CallOptions): Promise<Tenant> {
    return this.#transport.call(operations.tenantsGet, parameters, options);
  }

  /**
   * Change a tenant. Its administrators may change name, RUT, time zone and locale; the rest is the operator's.
   *
   * `{"status": "suspended"}` refuses every token of the tenant within a second; `{"status": "active"}` lets them in again.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tenants_update`, since version 1.0.0 of the gateway.
   */
  update(parameters: TenantsUpdateParameters, options?: CallOptions): Promise<Tenant> {
    return this.#transport.call(operations.tenantsUpdate, parameters, options);
  }
}

/** `client.usage` */
export class UsageResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Show what a tenant has used of its plan in the current calendar month, and what is left; and by day, token and tool how many calls those were. Days are kept for 400 days.
   *
   * Example: `{"from": "2026-11-01", "to": "2026-11-15"}`.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `usage_get`, since version 1.0.0 of the gateway.
   */
  get(parameters: UsageGetParameters = {}, options?: CallOptions): PagePromise<UsageGetDay, UsageGetResult> {
    return this.#transport.list(operations.usageGet, parameters, options);
  }
}

/** `client.workflows` */
export class WorkflowsResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List the tenant's n8n workflows, to find the id or name that `workflows_trigger` takes.
   *
   * Example: `{"active": true, "tags": ["automation"]}` lists the workflows that run and carry that tag.
   *
   * Needs the scope `read:workflows`.
   *
   * The tool `workflows_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: WorkflowsListParameters = {}, options?: CallOptions): PagePromise<Workflow, WorkflowsListResult> {
    return this.#transport.list(operations.workflowsList, parameters, options);
  }

  /**
   * Create a workflow in the tenant's n8n, tag it, and activate it.
   *
   * `workflow_json` is a workflow as n8n exports it, or as `generate_n8n_workflow` makes it: at least `nodes` and `connections`.
   * When a later step fails, the error names the id of the workflow that was created.
   *
   * Needs the scope `write:workflows`.
   *
   * The tool `workflows_create`, since version 1.0.0 of the gateway.
   */
  create(parameters: WorkflowsCreateParameters, options?: CallOptions): Promise<WorkflowsCreateResult> {
    return this.#transport.call(operations.workflowsCreate, parameters, options);
  }

  /**
   * Show how an execution of a workflow stands, with its output once it has ended.
   *
   * Example: `{"execution_id": "1042"}`, with the id that `workflows_trigger` gave. While the status is `running`, ask again later.
   *
   * Needs the scope `read:workflows`.
   *
   * The tool `workflows_status`, since version 1.0.0 of the gateway.
   */
  status(parameters: WorkflowsStatusParameters, options?: CallOptions): Promise<WorkflowsStatusResult> {
    return this.#transport.call(operations.workflowsStatus, parameters, options);
  }

  /**
   * Trigger a workflow of the tenant's n8n, and say which execution it started.
   *
   * The workflow must be active. Ask `workflows_status` with the `execution_id` for the outcome.
   * Example: `{"workflow_id": "wf_backup_db", "input_data": {"database": "smarteros", "compress": true}}`.
   *
   * Needs the scope `write:workflows`.
   *
   * The tool `workflows_trigger`, since version 1.0.0 of the gateway.
   */
  trigger(parameters: WorkflowsTriggerParameters, options?: CallOptions): Promise<WorkflowsTriggerResult> {
    return this.#transport.call(operations.workflowsTrigger, parameters, options);
  }
}

/** `client.tokens` */
export class TokensResource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * List tokens of a tenant, without the tokens themselves; the operator sees everybody's unless he names a tenant.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tokens_list`, since version 1.0.0 of the gateway.
   */
  list(parameters: TokensListParameters = {}, options?: CallOptions): PagePromise<Token, TokensListResult> {
    return this.#transport.list(operations.tokensList, parameters, options);
  }

  /**
   * Issue an API token for a tenant. The answer holds the token, this once.
   *
   * Nobody can give scopes that he does not hold himself; the operator can give all.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tokens_create`, since version 1.0.0 of the gateway.
   */
  create(parameters: TokensCreateParameters, options?: CallOptions): Promise<TokensCreateResult> {
    return this.#transport.call(operations.tokensCreate, parameters, options);
  }

  /**
   * Revoke a token. It is refused everywhere within a second, and so are the applications that were connected with it.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tokens_revoke`, since version 1.0.0 of the gateway.
   */
  revoke(parameters: TokensRevokeParameters, options?: CallOptions): Promise<void> {
    return this.#transport.call(operations.tokensRevoke, parameters, options);
  }

  /**
   * Show a token, without the token itself: what it may do, when it ends, when it was last used.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tokens_get`, since version 1.0.0 of the gateway.
   */
  get(parameters: TokensGetParameters, options?: CallOptions): Promise<Token> {
    return this.#transport.call(operations.tokensGet, parameters, options);
  }

  /**
   * Replace a token by a new one with the same rights. The old one lives on for an overlap, so that its users can change over.
   *
   * Applications that were connected by signing in with it go on with the new one; with an overlap of 0, as for a token that leaked, they
   * end with the old one.
   *
   * Needs the scope `admin:tenants`.
   *
   * The tool `tokens_rotate`, since version 1.0.0 of the gateway.
   */
  rotate(parameters: TokensRotateParameters, options?: CallOptions): Promise<TokensCreateResult> {
    return this.#transport.call(operations.tokensRotate, parameters, options);
  }
}

/** All resources of the API. */
export class Resources {
  readonly analytics: AnalyticsResource;
  readonly kpis: KpisResource;
  readonly applications: ApplicationsResource;
  readonly audit: AuditResource;
  readonly bots: BotsResource;
  readonly connections: ConnectionsResource;
  readonly containers: ContainersResource;
  readonly crm: CrmResource;
  readonly docs: DocsResource;
  readonly generate: GenerateResource;
  readonly infra: InfraResource;
  readonly members: MembersResource;
  readonly services: ServicesResource;
  readonly support: SupportResource;
  readonly switches: SwitchesResource;
  readonly tenants: TenantsResource;
  readonly usage: UsageResource;
  readonly workflows: WorkflowsResource;
  readonly tokens: TokensResource;

  constructor(transport: Transport) {
    this.analytics = new AnalyticsResource(transport);
    this.kpis = new KpisResource(transport);
    this.applications = new ApplicationsResource(transport);
    this.audit = new AuditResource(transport);
    this.bots = new BotsResource(transport);
    this.connections = new ConnectionsResource(transport);
    this.containers = new ContainersResource(transport);
    this.crm = new CrmResource(transport);
    this.docs = new DocsResource(transport);
    this.generate = new GenerateResource(transport);
    this.infra = new InfraResource(transport);
    this.members = new MembersResource(transport);
    this.services = new ServicesResource(transport);
    this.support = new SupportResource(transport);
    this.switches = new SwitchesResource(transport);
    this.tenants = new TenantsResource(transport);
    this.usage = new UsageResource(transport);
    this.workflows = new WorkflowsResource(transport);
    this.tokens = new TokensResource(transport);
  }
}
