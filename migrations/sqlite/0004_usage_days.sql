-- The same calls as `usage` has by month, by day of the tenant's time zone, token and tool.
create table usage_days (
  tenant_id text not null,
  day       text not null,
  token_id  text not null,
  tool      text not null,
  calls     bigint not null,
  primary key (tenant_id, day, token_id, tool)
) without rowid;
