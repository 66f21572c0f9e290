-- Row-level security by tenant, forced also for the table owner. A transaction says whose rows it may touch by `app.tenant`, or
-- `app.operator` for all; one that says nothing sees nothing. SQLite has no such thing: there every query's own tenant is all.

create function app_tenant() returns text language sql stable parallel safe
  as $$ select nullif(current_setting('app.tenant', true), '') $$;

create function app_is_operator() returns boolean language sql stable parallel safe
  as $$ select coalesce(current_setting('app.operator', true), '') = 'on' $$;

alter table tenants enable row level security;
alter table tenants force row level security;
create policy own on tenants using (id = app_tenant() or app_is_operator());

alter table tokens enable row level security;
alter table tokens force row level security;
create policy own on tokens using (tenant_id = app_tenant() or app_is_operator());

alter table connections enable row level security;
alter table connections force row level security;
create policy own on connections using (tenant_id = app_tenant() or app_is_operator());

alter table services enable row level security;
alter table services force row level security;
create policy own on services using (tenant_id = app_tenant() or app_is_operator());

alter table audit enable row level security;
alter table audit force row level security;
create policy own on audit using (tenant_id = app_tenant() or app_is_operator());

alter table usage enable row level security;
alter table usage force row level security;
create policy own on usage using (tenant_id = app_tenant() or app_is_operator());

alter table idempotency enable row level security;
alter table idempotency force row level security;
create policy own on idempotency using (tenant_id = app_tenant() or app_is_operator());

-- Who changes something says so; only the watch, which reaches all tenants, reads it.
alter table changes enable row level security;
alter table changes force row level security;
create policy anyone_records on changes for insert with check (true);
create policy operator_reads on changes for select using (app_is_operator());
create policy operator_prunes on changes for delete using (app_is_operator());

alter table switches enable row level security;
alter table switches force row level security;
create policy operator on switches using (app_is_operator());
