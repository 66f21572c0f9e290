-- The same calls as `usage` has by month, by day of the tenant's time zone, token and tool.
create table usage_days (
  tenant_id text not null,
  day       text not null,
  token_id  text not null,
  tool      text not null,
  calls     bigint not null,
  primary key (tenant_id, day, token_id, tool)
);

alter table usage_days enable row level security;
alter table usage_days force row level security;
create policy own on usage_days using (tenant_id = app_tenant() or app_is_operator());
