#!/bin/bash
# Makes the gateway's role and its database, when PostgreSQL's data directory is new. The role is no superuser: PostgreSQL itself keeps
# tenants apart by row-level security, which a superuser passes by.
set -euo pipefail
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
\set password `cat /run/secrets/database_password`
create role smartermcp login nosuperuser nocreatedb nocreaterole nobypassrls password :'password';
create database smartermcp owner smartermcp template template0 encoding 'UTF8';
SQL
