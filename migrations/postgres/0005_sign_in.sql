-- Sign-in by OAuth 2.1: who may sign in, which applications they have connected, and the keys that access tokens are signed with.
-- Of a code, a refresh token and a session only the SHA-256 is here.

-- Applications that registered themselves (RFC 7591); those with a metadata document of their own are not here.
create table oauth_clients (
  id            text primary key,
  name          text not null,
  redirect_uris text not null,
  created_at    bigint not null,
  used_at       bigint
);
create index oauth_clients_by_use on oauth_clients (used_at, created_at);

-- People who were invited by e-mail address; `issuer` and `subject` are known from their first sign-in on.
create table members (
  tenant_id  text not null references tenants (id),
  id         text not null,
  email      text not null,
  scopes     text not null,
  issuer     text,
  subject    text,
  created_at bigint not null,
  created_by text not null,
  primary key (tenant_id, id),
  unique (tenant_id, email)
);
create index members_by_email on members (email);
create index members_by_subject on members (subject, issuer);

-- Browsers that are signed in. `identity` is JSON: the token that was pasted, or the person that the OpenID provider named.
create table sign_ins (
  hash       text primary key,
  identity   text not null,
  created_at bigint not null,
  expires_at bigint not null
);
create index sign_ins_by_age on sign_ins (expires_at);

-- A connected application: what a member has granted to it. `granted_by` is `token/<id>` or `member/<id>`.
create table grants (
  id          text not null,
  tenant_id   text not null references tenants (id),
  client_id   text not null,
  client_name text not null,
  resource    text not null,
  scopes      text not null,
  agent       text,
  limits      text,
  granted_by  text not null,
  created_at  bigint not null,
  used_at     bigint,
  expires_at  bigint not null,
  revoked_at  bigint,
  primary key (tenant_id, id)
);
create index grants_by_id on grants (id);
create index grants_by_giver on grants (granted_by);
create index grants_by_client on grants (client_id);

create table authorization_codes (
  hash       text primary key,
  tenant_id  text not null references tenants (id),
  request    text not null,
  expires_at bigint not null,
  used_at    bigint,
  grant_id   text
);
create index authorization_codes_by_age on authorization_codes (expires_at);

-- A refresh token that was used has `used_at`; the one after it is made from it, and is stored beside it.
create table refresh_tokens (
  hash       text primary key,
  tenant_id  text not null references tenants (id),
  grant_id   text not null,
  created_at bigint not null,
  expires_at bigint not null,
  used_at    bigint
);
create index refresh_tokens_by_grant on refresh_tokens (grant_id);
create index refresh_tokens_by_age on refresh_tokens (expires_at);

-- Ed25519 keys of access tokens; `sealed` is the private half. Verified from `created_at`, signing from `signs_from`.
create table signing_keys (
  id         text primary key,
  sealed     bytea not null,
  public     text not null,
  created_at bigint not null,
  signs_from bigint not null,
  ends_at    bigint
);

alter table oauth_clients enable row level security;
alter table oauth_clients force row level security;
create policy operator on oauth_clients using (app_is_operator());

alter table sign_ins enable row level security;
alter table sign_ins force row level security;
create policy operator on sign_ins using (app_is_operator());

alter table signing_keys enable row level security;
alter table signing_keys force row level security;
create policy operator on signing_keys using (app_is_operator());

alter table members enable row level security;
alter table members force row level security;
create policy own on members using (tenant_id = app_tenant() or app_is_operator());

alter table grants enable row level security;
alter table grants force row level security;
create policy own on grants using (tenant_id = app_tenant() or app_is_operator());

alter table authorization_codes enable row level security;
alter table authorization_codes force row level security;
create policy own on authorization_codes using (tenant_id = app_tenant() or app_is_operator());

alter table refresh_tokens enable row level security;
alter table refresh_tokens force row level security;
create policy own on refresh_tokens using (tenant_id = app_tenant() or app_is_operator());
