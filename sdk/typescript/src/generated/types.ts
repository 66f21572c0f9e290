// What goes into calls and comes out of them. Written by `make sdk` from openapi/smartermcp.json: do not edit.

import type { Page } from '../pages.js';

/** A value of this list, or one that a newer gateway has: those do not break this version. */
export type Open<Known extends string> = Known | (string & {});

export interface AnalyticsDashboard {
  readonly description: string | null;
  readonly id: string;
  readonly name: string;
  readonly url: string;
}

/** Dashboards, collection by collection, by name. */
export type AnalyticsDashboardsResult = Page<AnalyticsDashboard>;

export interface AnalyticsKpisDetail {
  /** When the figure was so (RFC 3339); null where it could not be told. */
  readonly asOf: string | null;
  /** What it is counted in, where the tenant has said it. */
  readonly unit?: string | null;
}

/** Something that could not be told, and why. */
export interface Unavailable {
  /** The figure that is missing, e.g. `satisfaction_score`. */
  readonly name: string;
  /** Why it is missing. */
  readonly reason: string;
}

/**
 * Key figures.
 *
 * The figure of each name; null where it could not be told.
 */
export type AnalyticsKpisResult = Readonly<Record<string, number | null>> & {
  /** Of each name what its figure means. */
  readonly $details: Readonly<Record<string, AnalyticsKpisDetail>>;
  /** The names whose figure is null, and why. */
  readonly $unavailable: Unavailable[];
};

/** A KPI, as it is mapped. */
export interface Kpi {
  readonly cardId: number;
  readonly column: string | null;
  readonly createdAt: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>[];
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
  readonly unit: string | null;
  readonly updatedAt: string;
}

/** Mapped KPIs, by name. */
export type KpisListResult = Page<Kpi>;

/** The saved question that answered. */
export interface AnalyticsReportsQuestion {
  readonly id: string;
  readonly name: string;
}

/** A table that answers the question. */
export interface AnalyticsReportsResult {
  /** The names of the columns, in their order. */
  readonly columns: string[];
  /** How a table is to look. */
  readonly format: Open<'json' | 'csv' | 'markdown'>;
  /** The saved question that answered. */
  readonly question?: AnalyticsReportsQuestion | null;
  /** In `json` a list of objects, one for each row; else text. */
  readonly report: Readonly<Record<string, unknown>>[] | string;
  /** How many rows the report has. */
  readonly rows: number;
  /** The query that was written and answered. */
  readonly sql?: string | null;
  /** Whether there is more than is shown: at most 500 rows and 50 columns are, and 1000 characters of a text. */
  readonly truncated: boolean;
}

/** An application that was connected on the sign-in page. */
export interface Application {
  readonly agent?: Open<'codex' | 'gemini' | 'copilot'> | null;
  readonly clientId: string;
  /** What it calls itself. */
  readonly clientName: string;
  readonly createdAt: string;
  /** When it ends, unless it is revoked before. */
  readonly expiresAt: string;
  /** Who allowed it: `token/` and the token's id, or `member/` and the member's. */
  readonly grantedBy: string;
  /** What the audit and usage call its calls by. */
  readonly id: string;
  /** When it was last used, within half a minute. */
  readonly lastUsedAt: string | null;
  readonly scopes: Open<'read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants'>[];
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
}

/** Connected applications, by id. */
export type ApplicationsListResult = Page<Application>;

/** One call. */
export interface AuditEntry {
  readonly agent: string | null;
  /** A keyed hash: equal arguments have equal ones. */
  readonly argumentsHash: string;
  readonly at: string;
  /** mcp, rest, console, or oauth: sign-in and the list of connected applications. */
  readonly door: string;
  readonly durationMs: number | null;
  readonly error: string | null;
  /** The request's id, as its answer's `X-Request-Id` had it; those of sign-in have one of their own. */
  readonly id: string;
  /** open, ok or failed. */
  readonly outcome: string;
  /** The HTTP status that REST has or would have. */
  readonly status: number | null;
  /** The id of the token or connected application that called, `member/` and a member's id, `gateway`, or the operator. */
  readonly token: string;
  readonly tool: string;
}

/** Audit entries, newest first. */
export type AuditListResult = Page<AuditEntry>;

/** A chatbot. */
export interface Bot {
  /** Its enabled integrations, e.g. `whatsapp`: through most of them people reach it. Botpress does not say which those are. */
  readonly channels: string[] | null;
  /** Always null: Botpress counts conversations of a period only; `bots_analytics` shows them. */
  readonly conversationsCount: number | null;
  readonly id: string;
  readonly name: string;
  /** `active`: it has been deployed. Botpress does not tell whether a bot is blocked. */
  readonly status: Open<'active' | 'inactive'>;
}

/** Bots, those changed last first. */
export type BotsListResult = Page<Bot, {
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}>;

/** Something that users wanted. */
export interface BotAnalyticsTopIntent {
  readonly count: number;
  readonly name: string;
}

/** How a bot did. What Botpress has no figure for is null. */
export interface BotsAnalyticsResult {
  /** Messages in a conversation, on average. */
  readonly avgConversationLength: number | null;
  /** Per cent of the tasks begun that were completed. */
  readonly completionRate: number | null;
  /** What users wanted most often, the most frequent first. */
  readonly topIntents: BotAnalyticsTopIntent[] | null;
  /** Sessions, as Botpress calls them. */
  readonly totalConversations: number;
  /** Of users and of the bot. */
  readonly totalMessages: number;
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}

/** A conversation of a bot. */
export interface BotConversation {
  /** Through what, e.g. `whatsapp` or `webchat`. */
  readonly channel: string | null;
  readonly conversationId: string;
  readonly messagesCount: number | null;
  /** When it began (RFC 3339, UTC). */
  readonly startedAt: string | null;
  /** Who talked with the bot, as Botpress numbers its users; null where it has not written among the latest 100 messages. */
  readonly userId: string | null;
}

/** Conversations, the latest activity first. */
export type BotsConversationsResult = Page<BotConversation, {
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}>;

/** How the bot stands. */
export interface BotsDeployResult {
  readonly botId: string;
  /** `inactive`: it was blocked with this call, or has never been deployed. Null where Botpress did not tell. */
  readonly status: Open<'active' | 'inactive' | 'deploying'> | null;
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
  /** When the bot was changed last (RFC 3339, UTC). */
  readonly updatedAt: string | null;
}

/** A backend that can be connected. */
export interface ConnectionBackend {
  readonly backend: string;
  readonly connected: boolean;
  /** JSON Schema of its credential, to draw a form from. */
  readonly credentialSchema: unknown;
}

/** What a tenant says of a connection besides its address and credential. */
export interface ConnectionSettings {
  /** What the tenant calls things of this backend: a name, and the id that it stands for, e.g. `{"main": "bot_abc123"}`. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/** A connection, without its credential. */
export interface Connection {
  readonly backend: string;
  readonly createdAt: string;
  /** What a tenant says of a connection besides its address and credential. */
  readonly settings: ConnectionSettings;
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
  readonly updatedAt: string;
  readonly url: string;
}

/** A tenant's connections; there are no more than there are backends. */
export type ConnectionsListResult = Page<Connection, {
  /** Every backend that can be connected. */
  readonly backends: ConnectionBackend[];
}>;

/** What a test of a connection found. A test that fails says in its error which part is wrong. */
export interface ConnectionsTestResult {
  /** What was found, in a sentence. */
  readonly detail: string;
  /** Always true: a failed test is an error that names what is wrong. */
  readonly ok: boolean;
  /** The backend's version, where it tells. */
  readonly version: string | null;
}

/** A container. */
export interface Container {
  /** What its health check says (healthy, unhealthy, starting); null where it has none or does not run. */
  readonly health: string | null;
  readonly id: string;
  /** The image that it was made from, e.g. `tienda:1.2`. */
  readonly image: string;
  readonly name: string;
  /** e.g. `0.0.0.0:8080->80/tcp`. */
  readonly ports: string[];
  /** Docker's word: created, running, paused, restarting, removing, exited or dead. */
  readonly status: string;
  /** What Docker does not say: these fields are null. */
  readonly unavailable?: string[];
  /** For how many seconds it has run; null while it does not. */
  readonly uptime: number | null;
}

/** The tenant's containers, by name. */
export type ContainersListResult = Page<Container>;

/** A restart that was done. */
export interface ContainersRestartResult {
  readonly containerId: string;
  /** Why it failed. */
  readonly error?: string | null;
  /** When the restart began. */
  readonly restartTime: string;
  readonly status: Open<'restarted' | 'failed'>;
}

/** A person or a company. */
export interface CrmContact {
  /** The name of the company that the contact works for. */
  readonly company: string | null;
  readonly email: string | null;
  readonly id: number;
  readonly name: string;
  readonly phone: string | null;
  readonly tags: string[];
}

/** Contacts, by id. */
export type CrmContactsListResult = Page<CrmContact>;

/** Only contacts to which all of this applies, e.g. `{"country": "CL", "type": "customer"}`. In a URL, as `filter[country]=CL&filter[type]=customer` or as JSON. */
export interface CrmContactFilter {
  /** The company that they are or work for, or a part of its name, e.g. `Hotel Calle-Calle`. */
  company?: string | null | undefined;
  /** The country as ISO 3166-1 has it, two letters, e.g. `CL`. */
  country?: string | null | undefined;
  /** A tag that they carry, e.g. `mayorista`. */
  tag?: string | null | undefined;
  /** customer: has been invoiced or sold to; lead: has an opportunity and is no customer yet; vendor: sells to the tenant; company: is a company, not a person. */
  type?: 'customer' | 'lead' | 'vendor' | 'company' | null | undefined;
}

/** Whom an opportunity is with. */
export interface CrmOpportunityContact {
  readonly id: number;
  readonly name: string;
}

/** A sale that is under way, won or lost. */
export interface CrmOpportunity {
  /** Whom an opportunity is with. */
  readonly contact: CrmOpportunityContact | null;
  /** In the company's currency. */
  readonly expectedRevenue: number | null;
  readonly id: number;
  readonly name: string;
  /** In per cent. */
  readonly probability: number | null;
  /** new, qualified, proposal, negotiation, won, lost, or what Odoo calls a stage that is none of these. */
  readonly stage: string | null;
}

/** Opportunities, by id. */
export type CrmOpportunitiesListResult = Page<CrmOpportunity, {
  /** The stage that was asked for, where the tenant's Odoo has none of that name. */
  readonly unavailable?: Unavailable[];
}>;

/** What is in one stage. */
export interface CrmPipelineStatusByStage {
  readonly count: number;
  /** new, qualified, proposal, negotiation, won, or what Odoo calls a stage that is none of these; null for what has no stage. */
  readonly stage: string | null;
  readonly value: number;
}

/** The pipeline, without what was lost. */
export interface CrmPipelineStatusResult {
  /** In the order of the pipeline; stages without an opportunity too. */
  readonly byStage: CrmPipelineStatusByStage[];
  /** Won opportunities in per cent of those won or lost, ever; null where none is decided. */
  readonly conversionRate: number | null;
  readonly totalOpportunities: number;
  /** The sum of what they may bring in, in the company's currency; the won ones among them. */
  readonly totalValue: number;
  readonly unavailable?: Unavailable[];
}

/** The record, as it is now. */
export interface CrmRecordsUpsertResult {
  /** Whether it was made by this call. */
  readonly created: boolean;
  readonly id: number;
  readonly kind: Open<'contact' | 'opportunity'>;
  /** As `crm_contacts_list` or `crm_opportunities_list` shows it. */
  readonly record: CrmContact | CrmOpportunity;
}

/** What is to be written, e.g. `{"name": "Rosa Huenchur", "tags": ["mayorista"]}`. A contact takes `name`, `email`, `phone`, `company` and `tags`; an opportunity `name`, `contact_id`, `stage` and `expected_revenue`. What is left out stays as it is; an empty text takes a value away. */
export interface CrmRecordUpsertFields {
  /** The company that the contact works for, e.g. `Hotel Calle-Calle SpA`: a contact that is a company and is called so, else the name alone is kept. */
  company?: string | null | undefined;
  /** Whom the opportunity is with: the `id` of a contact, e.g. 12. */
  contactId?: number | null | undefined;
  /** The contact's e-mail address, e.g. `rosa@example.cl`. */
  email?: string | null | undefined;
  /** What the opportunity may bring in, in the company's currency, e.g. 180000. */
  expectedRevenue?: number | null | undefined;
  /** The name of the contact, or what the opportunity is about; needed for a new record, e.g. `Torta de matrimonio`. */
  name?: string | null | undefined;
  /** The contact's phone number, e.g. `+56 9 8123 4567`. */
  phone?: string | null | undefined;
  /** The opportunity's stage: new, qualified, proposal, negotiation, won, lost, or a stage's name in Odoo, e.g. `negotiation`. */
  stage?: string | null | undefined;
  /** All tags that the contact is to carry, e.g. `["mayorista"]`; those that do not exist are made. */
  tags?: readonly string[] | null | undefined;
}

/** An API's document. */
export interface DocsApisResult {
  /** An object (`OpenAPI` 2.0 or 3.x), or Markdown. */
  readonly document: Readonly<Record<string, unknown>> | string;
  readonly format: Open<'openapi' | 'markdown'>;
  /** What was left out, or why there is no `OpenAPI` document. */
  readonly note?: string | null;
  readonly serviceId: string;
  /** Where what is told comes from. */
  readonly source: Open<'live' | 'kept' | 'registry'>;
  /** Whether something was left out of the document so that it is no longer than 1 MiB. */
  readonly truncated: boolean;
}

/** A column that holds what a column of another table holds. */
export interface DocSchemasRelationship {
  readonly column: string;
  /** Null where the backend does not say. */
  readonly referencesColumn: string | null;
  readonly referencesTable: string;
  readonly table: string;
}

export interface DocSchemasTableColumn {
  readonly name: string;
  readonly nullable: boolean;
  /** In the database's own words, e.g. `bigint`. */
  readonly type: string;
}

export interface DocSchemasTable {
  /** By name. */
  readonly columns: DocSchemasTableColumn[];
  readonly name: string;
}

/** Tables, by name. */
export type DocsSchemasResult = Page<DocSchemasTable, {
  readonly database: Open<'smarteros' | 'supabase' | 'n8n' | 'odoo'>;
  /** What these tables are, where it is not the database itself that was asked. */
  readonly note?: string | null;
  /** Of the tables of this page. */
  readonly relationships: DocSchemasRelationship[];
  /** Where what is told comes from. */
  readonly source: Open<'live' | 'kept' | 'registry'>;
  /** Whether there is more than was looked at: tables beyond 10 000, columns beyond 1600 of one table, or relationships beyond 50 000. */
  readonly truncated: boolean;
}>;

/** A way in to a service. */
export interface DocServicesApiEndpoint {
  readonly description: string;
  readonly method: string;
  /** A path below the service's address, or a whole address. */
  readonly path: string;
}

/** A call of a tool. */
export interface DocServicesExample {
  readonly arguments: unknown;
  readonly description: string;
  readonly tool: string;
}

/** What there is to know of a service. */
export interface DocsServicesResult {
  readonly apiEndpoints: DocServicesApiEndpoint[];
  /** How a tenant connects it, in Markdown. */
  readonly connecting?: string | null;
  /** Null where nobody has described it. */
  readonly description: string | null;
  readonly examples: DocServicesExample[];
  /** Limits, oddities and versions, in Markdown. */
  readonly goodToKnow?: string | null;
  readonly serviceId: string;
  /** Where what is told comes from. */
  readonly source: Open<'live' | 'kept' | 'registry'>;
  readonly techStack: string[];
  /** What nobody says: these fields are null or empty. */
  readonly unavailable?: string[];
}

/** A file of the client. */
export interface GenerateApiClientFile {
  readonly content: string;
  /** Where it belongs, e.g. `client.ts`. */
  readonly path: string;
}

/** The client. */
export interface GenerateApiClientResult {
  readonly files: GenerateApiClientFile[];
  /** What a client is written in. */
  readonly language: Open<'typescript' | 'python' | 'javascript'>;
  /** How many operations of the document it does not have, because there are too many; absent for none. */
  readonly leftOut?: number | null;
  /** How many operations it has. */
  readonly operations: number;
}

/** Something that the bot does. */
export interface GenerateBotpressSkillAction {
  /** What it does, in a sentence. */
  readonly description: string;
  /** What it needs, by the names of `slots`. */
  readonly input: string[];
  /** Its name, e.g. `look_up_order`. */
  readonly name: string;
}

/** What people say when they want it, by language. */
export interface GenerateBotpressSkillIntentUtterances {
  /** In English. */
  readonly en: string[];
  /** In Spanish. */
  readonly es: string[];
}

/** Something that people want. */
export interface GenerateBotpressSkillIntent {
  /** The actions that answer it, by their names. */
  readonly actions: string[];
  /** Its name, e.g. `order_status`. */
  readonly name: string;
  /** What has to be known for it, by the names of `slots`. */
  readonly slots: string[];
  /** What people say when they want it, by language. */
  readonly utterances: GenerateBotpressSkillIntentUtterances;
}

/** A skill. */
export interface GenerateBotpressSkillResult {
  /** What the bot does. */
  readonly actions: GenerateBotpressSkillAction[];
  /** What somebody has to add, and why a template made it where one did. */
  readonly explanation: string;
  /** What people may want of it. */
  readonly intents: GenerateBotpressSkillIntent[];
  /** The skill as a whole: `name`, `description`, `languages`, `intents`, `slots`, `actions` and `flow`. */
  readonly skillJson: unknown;
  /** What wrote it: `llm` or `template`. */
  readonly source: Open<'llm' | 'template'>;
}

/** A workflow that n8n takes. */
export interface GenerateN8nWorkflowResult {
  /** What it does and when, which steps do nothing until a credential is chosen, and what was assumed. */
  readonly explanation: string;
  /** What wrote it: `llm` or `template`. */
  readonly source: Open<'llm' | 'template'>;
  /** `name`, `nodes`, `connections` and `settings`: what `workflows_create` takes as its `workflow_json`. */
  readonly workflowJson: unknown;
}

/** What a series is of. */
export interface InfraMetricsSeriesLabels {
  /** The host, as Prometheus names it. */
  readonly instance?: string | null;
  /** Where a disk is mounted; only of `disk`. */
  readonly mountpoint?: string | null;
}

/** A value at a time. */
export interface InfraMetricsSeriesPoint {
  /** When (RFC 3339, UTC). */
  readonly t: string;
  readonly value: number;
}

/** One metric of one host, disk or direction. */
export interface InfraMetricsSeries {
  /** What a series is of. */
  readonly labels: InfraMetricsSeriesLabels;
  /** `cpu`, `memory`, `disk`, `network_in` or `network_out`. */
  readonly metric: string;
  /** In the order of time, 15 s apart over an hour and 34 min over a week; where one is missing there was no value. */
  readonly points: InfraMetricsSeriesPoint[];
  /** `percent` (of what there is, 0 to 100) or `bytes_per_second`. */
  readonly unit: string;
}

/** Metrics over time. */
export interface InfraMetricsResult {
  readonly series: InfraMetricsSeries[];
  /** Whether there is more than is shown: a metric shows 20 series. */
  readonly truncated: boolean;
  /** Metrics without data in this period, and why. */
  readonly unavailable: Unavailable[];
  /** What Prometheus says against its own answer, e.g. that a part of its storage did not take part. */
  readonly warnings: string[];
}

/** The tenant's containers. */
export interface InfraStatusContainers {
  readonly running: number;
  readonly total: number;
}

/** The tenant's services. */
export interface InfraStatusServices {
  readonly healthy: number;
  readonly total: number;
}

/** How the infrastructure stands. */
export interface InfraStatusResult {
  /** The tenant's containers. */
  readonly containers: InfraStatusContainers | null;
  /** Percent of all processors, as `usage_of` says: of all hosts over five minutes, or by the containers over a second. */
  readonly cpuUsage: number | null;
  /** Percent of all disks together; `infra_metrics` shows each. */
  readonly diskUsage: number | null;
  /** Percent of the memory, of the same. */
  readonly memoryUsage: number | null;
  /** The tenant's services. */
  readonly services: InfraStatusServices | null;
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
  /**
   * Whose processors and memory: all use of the tenant's `hosts`, as Prometheus has it, or what its `containers` take of theirs,
   * as Docker measures it; null where neither is told.
   */
  readonly usageOf: Open<'hosts' | 'containers'> | null;
  /** `down` when one of the tenant's hosts does not answer Prometheus. Without Prometheus, `up` when Docker answers. */
  readonly vpsStatus: Open<'up' | 'down'> | null;
  /** What Prometheus says against its own answer. */
  readonly warnings: string[];
}

/** A member. */
export interface Member {
  readonly createdAt: string;
  readonly createdBy: string;
  readonly email: string;
  readonly id: string;
  /** The most that this member can allow an application. */
  readonly scopes: Open<'read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants'>[];
  /** invited, or joined from the first sign-in on. */
  readonly status: string;
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
}

/** Members, by id. */
export type MembersListResult = Page<Member>;

/** A service. */
export interface Service {
  /** As Docker sees it; `services_health` asks the service itself too. */
  readonly health: Open<'healthy' | 'down' | 'degraded'> | null;
  readonly id: string;
  readonly name: string;
  readonly status: Open<'active' | 'inactive' | 'error'> | null;
  /** Null where no container's label `smarteros.type` says it. */
  readonly type: Open<'frontend' | 'backend' | 'infrastructure'> | null;
  /** What nobody says: these fields are null. */
  readonly unavailable?: string[];
  /** True where a deployment never came to its end (the gateway died in the middle): the next `services_deploy` settles it. */
  readonly unfinishedDeployment?: boolean;
  /** Where it is found, if that is known. */
  readonly url: string | null;
}

/** The tenant's services, by id. */
export type ServicesListResult = Page<Service>;

/** How a service does. */
export interface ServiceHealth {
  /** What is wrong. */
  readonly error?: string | null;
  /** When this was asked. */
  readonly lastCheck: string;
  /** How long its `health_url` took to answer, in milliseconds. */
  readonly responseTime: number | null;
  readonly serviceId: string;
  /** Null where it has neither a container nor a `health_url`: then nobody can tell. */
  readonly status: Open<'healthy' | 'down' | 'degraded'> | null;
  /** What nobody says: these fields are null. */
  readonly unavailable?: string[];
  /** For how many seconds all of it has run: the least of its containers. */
  readonly uptime: number | null;
}

/** How the services do, by id. */
export type ServicesHealthResult = Page<ServiceHealth>;

/** A registered service. */
export interface ServicesSetResult {
  readonly container: string | null;
  readonly createdAt: string;
  readonly healthUrl: string | null;
  readonly id: string;
  readonly image: string | null;
  readonly name: string;
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
  /** The part of a business that a service is. */
  readonly type: Open<'frontend' | 'backend' | 'infrastructure'>;
  readonly updatedAt: string;
  readonly url: string | null;
}

/** A deployment that came to its end. */
export interface ServicesDeployResult {
  /** The id of its audit entry too. */
  readonly deploymentId: string;
  /** Why it failed. */
  readonly error?: string | null;
  /** Where the service's lines are. */
  readonly logsUrl: string;
  /** What should be known though it went well, e.g. that the registry could not be asked. */
  readonly note?: string | null;
  readonly serviceId: string;
  /** How a deployment ended. */
  readonly status: Open<'deployed' | 'failed'>;
  /** True where the containers ran this very image already, and nothing was done. */
  readonly unchanged: boolean;
  readonly version: string;
}

/** What a service wrote. */
export interface ServicesLogsResult {
  readonly lines: string[];
  readonly serviceId: string;
  /** True where older lines were left out, or lines were cut or left out because of their size. */
  readonly truncated: boolean;
}

/** A restart that was done. */
export interface ServicesRestartResult {
  /** Why it failed. */
  readonly error?: string | null;
  /** How a service stands after a restart. */
  readonly newStatus: Open<'running' | 'failed' | 'starting'>;
  /** For how many seconds it had run before; the least of its containers. Null where none ran. */
  readonly previousUptime: number | null;
  /** When the restart began. */
  readonly restartTime: string;
  readonly serviceId: string;
  /** What Docker does not know: these fields are null. */
  readonly unavailable?: string[];
}

/** Somebody who answers customers. */
export interface SupportAgentStatus {
  /** How many open conversations are assigned to him. */
  readonly activeConversations: number | null;
  readonly agentId: string;
  readonly name: string;
  readonly status: Open<'online' | 'offline' | 'busy'> | null;
}

/** Agents, by id. */
export type SupportAgentsStatusResult = Page<SupportAgentStatus, {
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}>;

/** A customer's conversation with the support team. */
export interface SupportConversation {
  /** The agent who has it; null where nobody has. */
  readonly assignee: string | null;
  /** The customer's name; his e-mail address or phone number where he has given none. */
  readonly contact: string | null;
  /** Its number in the account, as in the addresses of Chatwoot's pages. */
  readonly id: string;
  /** When something last happened in it (RFC 3339, UTC). */
  readonly lastActivityAt: string | null;
  /** What was said last, up to 300 characters; null where it is no text, e.g. a picture. */
  readonly lastMessage: string | null;
  /** `open`, `pending`, `resolved` or `snoozed`. */
  readonly status: string;
  /** How many of the customer's messages the team has not read. */
  readonly unreadCount: number | null;
}

/** Conversations, the latest activity first. */
export type SupportConversationsListResult = Page<SupportConversation, {
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}>;

/** How the support team did. What Chatwoot has no figure for is null. */
export interface SupportMetricsResult {
  /** Seconds from a customer's first message to the first answer of an agent, on average. */
  readonly avgFirstResponseTime: number | null;
  /** Seconds from the begin of a conversation to its resolution, on average. */
  readonly avgResolutionTime: number | null;
  /** How often a conversation was resolved in the period. */
  readonly resolvedConversations: number | null;
  /** The mean of what customers gave in the survey, from 1 (bad) to 5 (good). */
  readonly satisfactionScore: number | null;
  /** Conversations that began in the period. */
  readonly totalConversations: number | null;
  /** The fields that are null, and why. */
  readonly unavailable: Unavailable[];
}

/** Something that is switched off. */
export interface Switch {
  /** Null: for every backend. */
  readonly backend: string | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly id: string;
  readonly reason: string;
  /** Null: for every tenant. */
  readonly tenantId: string | null;
  /** Null: for every tool. */
  readonly tool: string | null;
}

/** What is switched off. */
export type SwitchesListResult = Page<Switch>;

/** A tenant. */
export interface Tenant {
  /** Private networks where its backends may live. */
  readonly backendAllow: string[];
  readonly createdAt: string;
  /** A tenant: a UUID v4, as the platform has it. */
  readonly id: string;
  readonly locale: string;
  readonly name: string;
  readonly plan: string;
  readonly region: string;
  readonly rut: string | null;
  readonly slug: string;
  readonly status: Open<'provisioning' | 'active' | 'suspended' | 'deleted'>;
  readonly timeZone: string;
  readonly updatedAt: string;
}

/** Tenants, by id. */
export type TenantsListResult = Page<Tenant>;

/** What one token called of one tool on one day. */
export interface UsageGetDay {
  readonly calls: number;
  /** In the tenant's time zone, e.g. `2026-11-21`. */
  readonly day: string;
  /** The token's id. */
  readonly tokenId: string;
  readonly tool: string;
}

/** One meter. */
export interface UsageGetMeter {
  /** Null: no limit. */
  readonly left: number | null;
  /** `api_calls`, workflows (executions) or `code_generations`. */
  readonly meter: string;
  /** Null: no limit. */
  readonly quota: number | null;
  readonly used: number;
}

/** Usage of the current month, and by day. */
export interface UsageGetResult {
  /** The calls that the plan counts, by day, token and tool. What another replica counted in the last seconds may be missing. */
  readonly days?: UsageGetDay[] | null;
  readonly meters: UsageGetMeter[];
  /** The calendar month in the tenant's time zone, e.g. `2026-11`. */
  readonly month: string;
  readonly monthEndsAt: string;
  /** Pass it as `cursor` for the next page of `days`; absent on the last. */
  readonly nextCursor?: string | null;
  readonly plan: string;
}

/** The latest execution among the tenant's last 250. */
export interface WorkflowLastExecution {
  readonly executionId: string;
  readonly startedAt: string | null;
  /** How an execution stands. */
  readonly status: Open<'running' | 'completed' | 'failed' | 'waiting'>;
}

/** A workflow of n8n. */
export interface Workflow {
  readonly active: boolean;
  readonly id: string;
  /** The latest execution among the tenant's last 250. */
  readonly lastExecution: WorkflowLastExecution | null;
  readonly name: string;
  readonly nodesCount: number;
  readonly tags: string[];
}

/** Workflows, by id. */
export type WorkflowsListResult = Page<Workflow, {
  /** Fields that n8n would not tell, and that are null for that reason. */
  readonly unavailable?: string[];
}>;

/** The workflow that was created. */
export interface WorkflowsCreateResult {
  readonly active: boolean;
  readonly name: string;
  /** Where people open it. */
  readonly url: string;
  readonly workflowId: string;
}

/** An execution. */
export interface WorkflowsStatusResult {
  /** Why it failed. */
  readonly error: string | null;
  readonly executionId: string;
  /** When it ended; null while it has not. */
  readonly finishedAt: string | null;
  /** What its last node gave: one item as it is, several as a list. */
  readonly output: unknown;
  readonly startedAt: string | null;
  /** How an execution stands. */
  readonly status: Open<'running' | 'completed' | 'failed' | 'waiting'>;
  readonly workflowId: string;
}

/** The execution that was started. */
export interface WorkflowsTriggerResult {
  /** Where the execution could not be found: the value of its request header `x-smartermcp-call`. */
  readonly correlationId?: string | null;
  /** Null when n8n keeps no record of it; see `unavailable`. */
  readonly executionId: string | null;
  readonly startedAt: string;
  /** How an execution stands. */
  readonly status: Open<'running' | 'completed' | 'failed' | 'waiting'>;
  /** What n8n would not tell. */
  readonly unavailable?: string[];
  readonly workflowId: string;
}

/** The limit of a token in one category. */
export interface TokenLimitsCategory {
  /** Calls per hour. */
  readonly perHour?: number | null;
  /** Calls per minute. */
  readonly perMinute: number;
}

/** For every call of the token. */
export interface TokenLimitsGeneral {
  /** Calls at once; 20 unless said. */
  readonly burst?: number | null;
  /** Calls per hour; 5000 unless said. */
  readonly perHour?: number | null;
  /** Calls per minute; 100 unless said. */
  readonly perMinute?: number | null;
}

/** Limits that a token was given at its issuance, in place of the usual ones. */
export interface TokenLimits {
  /** By category, e.g. `{"workflows": {"per_minute": 5}}`. */
  readonly categories?: Readonly<Record<string, TokenLimitsCategory>>;
  /** For every call of the token. */
  readonly general?: TokenLimitsGeneral | null;
}

/** A token, without itself. */
export interface Token {
  readonly agent?: Open<'codex' | 'gemini' | 'copilot'> | null;
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string;
  /** An `smcp_` token's public id; the token itself is never stored. */
  readonly id: string;
  /** When it was last used, within half a minute. */
  readonly lastUsedAt: string | null;
  /** Limits that a token was given at its issuance, in place of the usual ones. */
  readonly limits?: TokenLimits | null;
  readonly name: string;
  readonly revokedAt: string | null;
  /** The token that it was rotated to. */
  readonly rotatedTo: string | null;
  readonly scopes: Open<'read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants'>[];
  /** active, expired or revoked. */
  readonly status: string;
  /** Null for a token of the operator. */
  readonly tenantId: string | null;
}

/** Tokens, by id. */
export type TokensListResult = Page<Token>;

/** The token that was issued. */
export interface TokensCreateResult {
  readonly agent?: Open<'codex' | 'gemini' | 'copilot'> | null;
  /** The token itself. It is not stored and cannot be shown again. */
  readonly apiToken: string;
  readonly expiresAt: string;
  /** An `smcp_` token's public id; the token itself is never stored. */
  readonly id: string;
  readonly name: string;
  readonly scopes: Open<'read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants'>[];
  /** A tenant: a UUID v4, as the platform has it. */
  readonly tenantId: string;
}

/** What `analytics.dashboards` takes. */
export interface AnalyticsDashboardsParameters {
  /** How many at most, e.g. `20`; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `analytics.kpis` takes. */
export interface AnalyticsKpisParameters {
  /** Which ones, e.g. `["revenue_mtd"]`; all of them unless said. */
  kpis?: readonly string[] | null | undefined;
}

/** What `kpis.list` takes. */
export interface KpisListParameters {
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `kpis.delete` takes. */
export interface KpisDeleteParameters {
  /** The KPI, e.g. `revenue_mtd`. */
  name: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `kpis.set` takes. */
export interface KpisSetParameters {
  /** The name that the KPI is asked for by, e.g. `revenue_mtd`. */
  name: string;
  /** The saved question's number, as in the address of its page (`/question/1-…`), e.g. `1`. */
  cardId: number;
  /** The column of its answer that holds the figure, e.g. `total`; the only number in the row unless said. */
  column?: string | null | undefined;
  /** What the question is to be asked with, as Metabase's API takes it, e.g. `[{"type": "category", "target": ["variable", ["template-tag", "tienda"]], "value": "Valdivia"}]`. */
  parameters?: readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** What the figure is counted in, e.g. `CLP` or `%`. */
  unit?: string | null | undefined;
}

/** What `analytics.reports` takes. */
export interface AnalyticsReportsParameters {
  /** What is to be told, in words, in Spanish or English, or the number or name of a saved question, e.g. `pedidos pendientes`. */
  query: string;
  /** How the table is to look, e.g. `csv`; `json` unless said. */
  format?: 'json' | 'csv' | 'markdown' | null | undefined;
}

/** What `applications.list` takes. */
export interface ApplicationsListParameters {
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `applications.revoke` takes. */
export interface ApplicationsRevokeParameters {
  /** The application's id, as `applications_list` answers it. */
  id: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `audit.list` takes. */
export interface AuditListParameters {
  /** Only calls with this outcome. */
  outcome?: 'open' | 'ok' | 'failed' | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said. The operator who names none sees his own calls. */
  tenantId?: string | null | undefined;
  /** Only calls of this tool, e.g. `workflows_trigger`; `applications_connect` for what members have connected by signing in. */
  tool?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `bots.list` takes. */
export interface BotsListParameters {
  /** How many at most; 50 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `bots.analytics` takes. */
export interface BotsAnalyticsParameters {
  /** The bot: its id, or a name that the connection has for it, e.g. `main`. */
  botId: string;
  /** `today`, the last 7 days (`week`) or the last 30 (`month`), with today, from midnight in the tenant's time zone; `week` unless said. */
  period?: 'today' | 'week' | 'month' | null | undefined;
}

/** What `bots.conversations` takes. */
export interface BotsConversationsParameters {
  /** The bot: its id, or a name that the connection has for it, e.g. `main`. */
  botId: string;
  /** How many at most; 50 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `bots.deploy` takes. */
export interface BotsDeployParameters {
  /** The bot: its id, or a name that the connection has for it, e.g. `main`. */
  botId: string;
  /** true: it answers users; false: it is blocked, and answers nobody. */
  active?: boolean | null | undefined;
  /** The bot's configuration, whole, as its schema has it, e.g. `{"saludo": "Hola"}`. It takes the place of the one before. */
  configuration?: Readonly<Record<string, unknown>> | null | undefined;
}

/** What `connections.list` takes. */
export interface ConnectionsListParameters {
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `connections.remove` takes. */
export interface ConnectionsRemoveParameters {
  /** Which backend, e.g. `n8n`. */
  backend: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `connections.get` takes. */
export interface ConnectionsGetParameters {
  /** Which backend, e.g. `n8n`. */
  backend: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `connections.set` takes. */
export interface ConnectionsSetParameters {
  /** Which backend, e.g. `n8n`. */
  backend: string;
  /** The secret part, in the form of the backend, e.g. `{"api_key": "…"}` for n8n. It is sealed and never shown again. */
  credential: Readonly<Record<string, unknown>>;
  /** Its address, e.g. `https://n8n.panaderia-luna.cl`. */
  url: string;
  /** What the tenant calls things of this backend, e.g. `{"aliases": {"main": "bot_abc123"}}`; as they were unless said. */
  settings?: ConnectionSettings | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `connections.test` takes. */
export interface ConnectionsTestParameters {
  /** Which backend, e.g. `n8n`. */
  backend: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `containers.list` takes. */
export interface ContainersListParameters {
  /** `running`; `stopped` (created, paused, or ended with exit code 0); `error` (ended otherwise, dead, restarting or unhealthy); `all` unless said. */
  filter?: 'all' | 'running' | 'stopped' | 'error' | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `containers.restart` takes. */
export interface ContainersRestartParameters {
  /** The container's id, at least its first 12 digits, or its name, as `containers_list` shows them. */
  containerId: string;
}

/** What `crm.contacts.list` takes. */
export interface CrmContactsListParameters {
  /** Only contacts to which all of this applies, e.g. `{"country": "CL", "type": "customer"}`. In a URL, as `filter[country]=CL&filter[type]=customer` or as JSON. */
  filter?: CrmContactFilter | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `crm.contacts.search` takes. */
export interface CrmContactsSearchParameters {
  /** A part of the name or e-mail, a phone number or a RUT, e.g. `Rosa`, `john@example.com`, `+56 9 8123 4567` or `12.345.678-5`. */
  query: string;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `crm.opportunities.list` takes. */
export interface CrmOpportunitiesListParameters {
  /** The stage, e.g. `negotiation`; all unless said, which are the lost ones too. */
  stage?: 'all' | 'new' | 'qualified' | 'proposal' | 'negotiation' | 'won' | 'lost' | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `crm.records.upsert` takes. */
export interface CrmRecordsUpsertParameters {
  /** What is to be written, e.g. `{"name": "Rosa Huenchur", "tags": ["mayorista"]}`. A contact takes `name`, `email`, `phone`, `company` and `tags`; an opportunity `name`, `contact_id`, `stage` and `expected_revenue`. What is left out stays as it is; an empty text takes a value away. */
  fields: CrmRecordUpsertFields;
  /** What it is: contact or opportunity. */
  kind: 'contact' | 'opportunity';
  /** The record to change, e.g. 12, as the lists name it; leave it out to make a new one. */
  id?: number | null | undefined;
}

/** What `docs.apis` takes. */
export interface DocsApisParameters {
  /** The service, e.g. `supabase`. */
  serviceId: string;
}

/** What `docs.schemas` takes. */
export interface DocsSchemasParameters {
  /** The database: `smarteros`, `supabase`, `n8n` or `odoo`. */
  database: 'smarteros' | 'supabase' | 'n8n' | 'odoo';
  /** How many tables at most; 100 unless said. A page of very wide tables ends earlier. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `docs.services` takes. */
export interface DocsServicesParameters {
  /** The service, e.g. `n8n`. */
  serviceId: string;
}

/** What `generate.apiClient` takes. */
export interface GenerateApiClientParameters {
  /** The service, e.g. `n8n`, `supabase`, `smartermcp`, or one of the tenant's own such as `tienda`. */
  serviceId: string;
  /** The language; `typescript` unless said. */
  language?: 'typescript' | 'python' | 'javascript' | null | undefined;
}

/** What `generate.botpressSkill` takes. */
export interface GenerateBotpressSkillParameters {
  /** What the bot is to be able to do, e.g. `Consultar el estado de un pedido y derivar a una persona`. */
  description: string;
}

/** What `generate.n8nWorkflow` takes. */
export interface GenerateN8nWorkflowParameters {
  /** What the workflow is to do, and when, e.g. `Backup smarteros database daily at 2am`. */
  description: string;
  /** The services that it is to use, e.g. `["postgresql", "aws-s3"]`; those that the description names are found without it. */
  services?: readonly string[] | null | undefined;
}

/** What `infra.metrics` takes. */
export interface InfraMetricsParameters {
  /** Which metric, e.g. `cpu`; all of them unless said. `network` gives `network_in` and `network_out`. */
  metric?: 'cpu' | 'memory' | 'disk' | 'network' | 'all' | null | undefined;
  /** How far back, e.g. `24h`; the last hour unless said. */
  period?: '1h' | '6h' | '24h' | '7d' | null | undefined;
}

/** What `members.list` takes. */
export interface MembersListParameters {
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `members.invite` takes. */
export interface MembersInviteParameters {
  /** The address that the person has at the OpenID provider, e.g. `ana@luna.cl`. */
  email: string;
  /** The most that he may allow an application; a `write:` scope includes its `read:` twin. Not `admin:tenants`. */
  scopes: readonly ('read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants')[];
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `members.remove` takes. */
export interface MembersRemoveParameters {
  /** The member's id, as `members_list` answers it. */
  id: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `services.list` takes. */
export interface ServicesListParameters {
  /** Only services of this type: `frontend`, `backend` or `infrastructure`; `all` unless said. */
  filter?: 'all' | 'frontend' | 'backend' | 'infrastructure' | null | undefined;
  /** Only services of this status: `active`, `inactive` or `error`; `all` unless said. */
  status?: 'all' | 'active' | 'inactive' | 'error' | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `services.health` takes. */
export interface ServicesHealthParameters {
  /** Only this service, as `services_list` names it, e.g. `tienda`; all unless said. */
  serviceId?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `services.delete` takes. */
export interface ServicesDeleteParameters {
  /** The service, e.g. `tienda`. */
  serviceId: string;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
}

/** What `services.set` takes. */
export interface ServicesSetParameters {
  /** The id that the service is called by, e.g. `tienda`. */
  serviceId: string;
  /** The part of the business that it is. */
  type: 'frontend' | 'backend' | 'infrastructure';
  /** The name of its container, or the value of its containers' label `smarteros.service`; the id unless said. */
  container?: string | null | undefined;
  /** What is asked whether it is well, by GET; any answer below 400 says yes. It must be an address that backends may have. */
  healthUrl?: string | null | undefined;
  /** The repository of its image, without a tag, e.g. `ghcr.io/smarteros/tienda`: what `services_deploy` pulls. The one that its containers run unless said; only the operator may say another. */
  image?: string | null | undefined;
  /** A name for people; the id unless said. */
  name?: string | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** Where people or programs find it. */
  url?: string | null | undefined;
}

/** What `services.deploy` takes. */
export interface ServicesDeployParameters {
  /** The service, as `services_list` names it, e.g. `tienda`. */
  serviceId: string;
  /** Replace the containers also where they run this image already; false unless said. */
  force?: boolean | null | undefined;
  /** The tag of the image, e.g. `1.4.2`; `latest` unless said. */
  version?: string | null | undefined;
}

/** What `services.logs` takes. */
export interface ServicesLogsParameters {
  /** The service, as `services_list` names it, e.g. `tienda`. */
  serviceId: string;
  /** How many of the last lines; 100 unless said. */
  lines?: number | null | undefined;
}

/** What `services.restart` takes. */
export interface ServicesRestartParameters {
  /** The service, as `services_list` names it, e.g. `tienda`. */
  serviceId: string;
}

/** What `support.agents.status` takes. */
export interface SupportAgentsStatusParameters {
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `support.conversations.list` takes. */
export interface SupportConversationsListParameters {
  /** Only conversations of this agent: his name or a part of it, his e-mail address or his id, e.g. `Camila Soto`. */
  assignee?: string | null | undefined;
  /** Only conversations of this status, e.g. `pending`; `open` unless said. */
  status?: 'all' | 'open' | 'pending' | 'resolved' | 'snoozed' | null | undefined;
  /** How many at most; 50 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `support.conversations.search` takes. */
export interface SupportConversationsSearchParameters {
  /** Words of a message, or whom it is from, e.g. `refund request` or `rosa.huenchur@hotelcallecalle.cl`. */
  query: string;
  /** How many at most; 50 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `support.metrics` takes. */
export interface SupportMetricsParameters {
  /** `today`, the last 7 days (`week`) or the last 30 (`month`), with today, from midnight in the tenant's time zone; `today` unless said. */
  period?: 'today' | 'week' | 'month' | null | undefined;
}

/** What `switches.create` takes. */
export interface SwitchesCreateParameters {
  /** What callers are told. */
  reason: string;
  /** Only for tools of this backend, e.g. `n8n`. */
  backend?: string | null | undefined;
  /** Only for this tenant, by id or slug; for all unless said. */
  tenantId?: string | null | undefined;
  /** Only for this tool, e.g. `workflows_trigger`. */
  tool?: string | null | undefined;
}

/** What `switches.remove` takes. */
export interface SwitchesRemoveParameters {
  /** The switch's id, as `switches_list` shows it. */
  id: string;
}

/** What `tenants.list` takes. */
export interface TenantsListParameters {
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `tenants.create` takes. */
export interface TenantsCreateParameters {
  /** The business's name, e.g. `Panadería Luna`. */
  name: string;
  /** Its short name in paths and labels: lower-case letters, digits, hyphens, e.g. `panaderia-luna`. */
  slug: string;
  /** Private networks, in CIDR notation, where its backends may live, e.g. `["10.8.0.0/24"]`. */
  backendAllow?: readonly string[] | null | undefined;
  /** Language and country; es-CL unless said. */
  locale?: string | null | undefined;
  /** demo, starter, business or enterprise; business unless said. */
  plan?: string | null | undefined;
  /** Where its data lives; `cl` unless said. */
  region?: string | null | undefined;
  /** Its Chilean tax id, e.g. `76.192.083-9`. */
  rut?: string | null | undefined;
  /** IANA time zone, by whose months its quotas count; America/Santiago unless said. */
  timeZone?: string | null | undefined;
}

/** What `tenants.delete` takes. */
export interface TenantsDeleteParameters {
  /** The tenant's id or slug. */
  id: string;
}

/** What `tenants.get` takes. */
export interface TenantsGetParameters {
  /** The tenant's id or slug. */
  id: string;
}

/** What `tenants.update` takes. */
export interface TenantsUpdateParameters {
  /** The tenant's id or slug. */
  id: string;
  /** Private networks, in CIDR notation, where its backends may live; replaces the list. */
  backendAllow?: readonly string[] | null | undefined;
  /** A new locale, e.g. `es-CL`. */
  locale?: string | null | undefined;
  /** A new name. */
  name?: string | null | undefined;
  /** A new plan: demo, starter, business or enterprise. */
  plan?: string | null | undefined;
  /** A new region. */
  region?: string | null | undefined;
  /** A new RUT, e.g. `76.192.083-9`. */
  rut?: string | null | undefined;
  /** active or suspended. */
  status?: 'active' | 'suspended' | null | undefined;
  /** A new IANA time zone. */
  timeZone?: string | null | undefined;
}

/** What `usage.get` takes. */
export interface UsageGetParameters {
  /** The first day, in the tenant's time zone, e.g. `2026-11-01`; the first of the current month unless said. */
  from?: string | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** The last day, e.g. `2026-11-15`; today unless said. */
  to?: string | null | undefined;
  /** How many lines of `days` at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before, with the same `from` and `to`; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `workflows.list` takes. */
export interface WorkflowsListParameters {
  /** true: only workflows that are active; false: only those that are not. */
  active?: boolean | null | undefined;
  /** Only workflows that carry all of these tags, e.g. `["automation"]`. */
  tags?: readonly string[] | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `workflows.create` takes. */
export interface WorkflowsCreateParameters {
  /** What the workflow is called, e.g. `Daily DB Backup`. */
  name: string;
  /** The workflow: an object with `nodes` (a list) and `connections` (an object), and `settings` where wanted. */
  workflowJson: Readonly<Record<string, unknown>>;
  /** Whether it is active at once; true unless said. Only an active workflow can be triggered. */
  activate?: boolean | null | undefined;
  /** Tags that it is to carry; those that do not exist are made. At most 24 characters each. */
  tags?: readonly string[] | null | undefined;
}

/** What `workflows.status` takes. */
export interface WorkflowsStatusParameters {
  /** The execution, as `workflows_trigger` or `workflows_list` named it, e.g. `1042`, or an alias that the connection gives it. */
  executionId: string;
}

/** What `workflows.trigger` takes. */
export interface WorkflowsTriggerParameters {
  /** The workflow's id, e.g. `wf_backup_db`, its exact name, e.g. `Backup database`, or an alias that the connection gives it. */
  workflowId: string;
  /** What the workflow receives as its input. */
  inputData?: Readonly<Record<string, unknown>> | null | undefined;
}

/** What `tokens.list` takes. */
export interface TokensListParameters {
  /** The tenant, by id or slug; the caller's own unless said. */
  tenantId?: string | null | undefined;
  /** How many at most; 100 unless said. */
  limit?: number | null | undefined;
  /** `next_cursor` of the page before; leave it out for the first page. */
  cursor?: string | null | undefined;
}

/** What `tokens.create` takes. */
export interface TokensCreateParameters {
  /** What the token is for, e.g. `claude-desktop`. */
  name: string;
  /** What it may do; a `write:` scope includes its `read:` twin. */
  scopes: readonly ('read:services' | 'write:services' | 'read:workflows' | 'write:workflows' | 'read:analytics' | 'read:crm' | 'write:crm' | 'read:support' | 'read:bots' | 'write:bots' | 'admin:tenants')[];
  /** The agent that uses it: codex, gemini or copilot. It sees a part of the tools only. */
  agent?: 'codex' | 'gemini' | 'copilot' | null | undefined;
  /** When it ends, as RFC 3339, e.g. `2027-12-31T23:59:59Z`; in 365 days unless said. */
  expiresAt?: string | null | undefined;
  /** Or how many seconds it lives. */
  expiresIn?: number | null | undefined;
  /** Limits in place of the usual ones; only the operator may go above those. */
  limits?: TokenLimits | null | undefined;
  /** The tenant, by id or slug; the caller's own unless said, and `default` for the operator. */
  tenantId?: string | null | undefined;
}

/** What `tokens.revoke` takes. */
export interface TokensRevokeParameters {
  /** The token's id, as its issuance answered it. */
  id: string;
}

/** What `tokens.get` takes. */
export interface TokensGetParameters {
  /** The token's id, as its issuance answered it. */
  id: string;
}

/** What `tokens.rotate` takes. */
export interface TokensRotateParameters {
  /** The token's id, as its issuance answered it. */
  id: string;
  /** When the new token ends, as RFC 3339; in 365 days unless said. */
  expiresAt?: string | null | undefined;
  /** Or how many seconds it lives. */
  expiresIn?: number | null | undefined;
  /** For how many seconds the old token still works; 3600 unless said, 0 ends it at once, and what was connected with it. */
  overlapSecs?: number | null | undefined;
}
