-- Columns are portable: text ids, bigint epoch milliseconds, text JSON, blobs for what is sealed. A nullable timestamp says
-- more than a flag (`revoked_at`), and reads the same from both databases. `migrations/postgres` holds the same tables.

create table meta (
  name  text primary key,
  value text not null
);

-- One row that every replica polls; `changes` says what happened since the revision it knows.
create table revision (
  id       bigint primary key,
  revision bigint not null
);
insert into revision (id, revision) values (1, 0);

create table changes (
  revision bigint primary key,
  kind     text not null,
  subject  text not null,
  at       bigint not null
);

-- Which processes are alive, so that a replica can tell a call that runs elsewhere from one whose process died.
create table instances (
  id      text primary key,
  seen_at bigint not null
);

create table plans (
  name             text primary key,
  api_calls        bigint,
  workflows        bigint,
  storage_gb       bigint,
  code_generations bigint
);
insert into plans (name, api_calls, workflows, storage_gb, code_generations) values
  ('demo', 1000, 10, 5, 50),
  ('starter', 10000, 100, 20, 200),
  ('business', 100000, 1000, 100, 1000),
  ('enterprise', null, null, null, null);

create table tenants (
  id            text primary key,
  slug          text not null unique,
  name          text not null,
  rut           text,
  plan          text not null references plans (name),
  region        text not null,
  status        text not null,
  time_zone     text not null,
  locale        text not null,
  backend_allow text not null,
  created_at    bigint not null,
  updated_at    bigint not null,
  deleted_at    bigint
);

-- A token without a tenant is the operator's.
create table tokens (
  id           text primary key,
  tenant_id    text references tenants (id),
  hash         text not null unique,
  name         text not null,
  scopes       text not null,
  agent        text,
  limits       text,
  created_at   bigint not null,
  created_by   text not null,
  expires_at   bigint not null,
  revoked_at   bigint,
  rotated_to   text,
  last_used_at bigint
);
create index tokens_by_tenant on tokens (tenant_id, id);

create table connections (
  tenant_id  text not null references tenants (id),
  backend    text not null,
  id         text not null,
  url        text not null,
  settings   text not null,
  credential blob not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, backend)
);

-- The tenant's registry of services, by hand.
create table services (
  tenant_id  text not null references tenants (id),
  id         text not null,
  name       text not null,
  kind       text not null,
  url        text,
  settings   text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
);

-- An id is the request's, a UUID v7, so that one tenant's entries lie in the order of time. The operator's own calls have the tenant ''.
create table audit (
  tenant_id      text not null,
  id             text not null,
  at             bigint not null,
  token_id       text not null,
  agent          text,
  tool           text not null,
  door           text not null,
  arguments_hash text not null,
  outcome        text not null,
  status         bigint,
  error          text,
  duration_ms    bigint,
  primary key (tenant_id, id)
) without rowid;

create table usage (
  tenant_id text not null,
  month     text not null,
  meter     text not null,
  count     bigint not null,
  primary key (tenant_id, month, meter)
) without rowid;

-- `outcome` is sealed: it may hold a token that was issued.
create table idempotency (
  tenant_id      text not null,
  key            text not null,
  tool           text not null,
  arguments_hash text not null,
  instance       text not null,
  audit_id       text not null,
  created_at     bigint not null,
  finished_at    bigint,
  outcome        blob,
  primary key (tenant_id, key)
) without rowid;
create index idempotency_by_age on idempotency (created_at);

-- What the operator has switched off. A null matches all.
create table switches (
  id         text primary key,
  tenant_id  text,
  backend    text,
  tool       text,
  reason     text not null,
  created_at bigint not null,
  created_by text not null
);
