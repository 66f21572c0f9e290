-- What a tenant's figures are called, and which saved question of its Metabase answers each.
create table kpis (
  tenant_id  text not null references tenants (id),
  name       text not null,
  settings   text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, name)
);

alter table kpis enable row level security;
alter table kpis force row level security;
create policy own on kpis using (tenant_id = app_tenant() or app_is_operator());
