#!/usr/bin/env bash
# The tools of the CRM against a real Odoo 19 with its apps CRM and Invoicing: two tenants, each a company of one database. Prints a
# Markdown report.
#
#   tests/real/odoo.sh target/debug/smartermcp
#
# REAL_DIR: where Odoo is kept between runs (default: target/real in this repository; 1.6 GB). It comes as Debian's package of sid,
# downloaded by a copy of this machine's source of Debian packages and not installed, with its Python packages from PyPI. Needs root,
# apt, curl, jq, python3 and PostgreSQL. Everything listens on loopback and free ports, and ends with the script, by its process id.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "${1:-target/debug/smartermcp}")
real=${REAL_DIR:-$here/../../target/real}
package=odoo-19_19.0.0+dfsg-1_all.deb
sha256=9d2f598b0555db17e291d48ed24df184c70823c053c4c5ed53c467ca7f629bbf
say() { printf 'odoo.sh: %s\n' "$*" >&2; }

[ "$(id -u)" = 0 ] || { say "needs root, to run PostgreSQL as another user"; exit 1; }
missing=()
for command in curl jq python3 psql; do command -v "$command" >/dev/null || missing+=("$command"); done
[ "${#missing[@]}" = 0 ] || { say "these are missing: ${missing[*]}"; exit 1; }

mkdir -p "$real"
real=$(cd "$real" && pwd)
odoo=$real/odoo-19
if [ ! -e "$odoo/.done" ]; then
  say "downloading and unpacking $package"
  rm -rf "$odoo" && mkdir -p "$odoo/lists/partial" "$odoo/archives/partial"
  # The first source of Debian that this machine knows, in either form, for sid.
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    awk 'BEGIN { RS = ""; ORS = "\n\n" } NR == 1' /etc/apt/sources.list.d/debian.sources | sed -E 's/^Suites:.*/Suites: sid/' >"$odoo/sid.sources"
  else
    awk '$1 == "deb" { $3 = "sid"; print; exit }' /etc/apt/sources.list >"$odoo/sid.list"
  fi
  (
    cd "$odoo"
    apt=(apt-get -o "Dir::Etc::sourcelist=$(ls "$odoo"/sid.*)" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$odoo/lists"
      -o "Dir::Cache=$odoo/archives" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
    "${apt[@]}" update >&2
    "${apt[@]}" download odoo-19 >&2
    # Another upload has another name and sum: look at what changed, then set both above.
    echo "$sha256  $package" | sha256sum -c --quiet >&2
    dpkg -x "$package" unpacked
    rm -rf "$package" lists archives
    python3 -m venv venv
    venv/bin/pip install --quiet --disable-pip-version-check asn1crypto Babel cbor2 chardet cryptography docutils freezegun geoip2 gevent \
      greenlet idna Jinja2 libsass 'lxml<6' lxml-html-clean MarkupSafe num2words ofxparse openpyxl passlib Pillow polib psutil \
      psycopg2-binary pyopenssl pypdf pyserial python-dateutil python-stdnum pyusb qrcode reportlab requests rjsmin urllib3 vobject \
      'Werkzeug<3.1' xlrd XlsxWriter xlwt zeep python-magic pytz >&2
  )
  touch "$odoo/.done"
fi

folder=$(mktemp -d /tmp/smartermcp-odoo.XXXXXX)
pids=()
postgres_runs=
tool() { command -v "$1" 2>/dev/null || ls -d /usr/lib/postgresql/*/bin/"$1" 2>/dev/null | sort -V | tail -1; }
initdb=$(tool initdb) pg_ctl=$(tool pg_ctl)
as_nobody=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups env "HOME=$folder/pg")
# shellcheck disable=SC2329
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  [ -z "$postgres_runs" ] || (cd "$folder/pg" && "${as_nobody[@]}" "$pg_ctl" -D "$folder/pg/data" -m immediate -s stop) || true
  rm -rf "$folder"
}
trap finish EXIT

# Free ports, below those that the system gives to clients.
taken=()
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 10000))
    [[ " ${taken[*]} " == *" $port "* ]] && continue
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
    taken+=("$port")
    found=$port
    return
  done
}
free_port; postgres_port=$found
free_port; odoo_port=$found
free_port; before_port=$found
free_port; gateway_port=$found

# run NAME COMMAND…: in the background, its output in a file; leaves its process id in `started`.
run() {
  local name=$1
  shift
  "$@" >"$folder/$name.log" 2>&1 &
  started=$!
  pids+=("$started")
}

until_ok() {
  for _ in $(seq 300); do
    curl -sS -o /dev/null "$@" 2>/dev/null && return
    sleep 0.2
  done
  say "no answer: $*"
  tail -n 5 "$folder"/*.log >&2
  return 1
}

say "a PostgreSQL, and a database with CRM and Invoicing (two minutes)"
chmod 755 "$folder"; mkdir "$folder/pg"; chown nobody "$folder/pg"
(cd "$folder/pg" && "${as_nobody[@]}" "$initdb" -D "$folder/pg/data" -U postgres --auth=trust --no-sync --no-instructions -E UTF8 --locale=C >/dev/null)
(cd "$folder/pg" && "${as_nobody[@]}" "$pg_ctl" -D "$folder/pg/data" -w -s -l "$folder/pg/log" \
  -o "-c listen_addresses=127.0.0.1 -c port=$postgres_port -c unix_socket_directories=$folder/pg -c fsync=off -c synchronous_commit=off -c full_page_writes=off" start)
postgres_runs=yes
# Odoo refuses to work as PostgreSQL's own user.
psql -q "postgres://postgres@127.0.0.1:$postgres_port/postgres" -c 'create role odoo login createdb'
python=(env "PYTHONPATH=$odoo/unpacked/usr/lib/python3/dist-packages" "HOME=$folder" "$odoo/venv/bin/python" "$odoo/unpacked/usr/bin/odoo")
options=(--db_host=127.0.0.1 "--db_port=$postgres_port" --db_user=odoo --database=shared "--data-dir=$folder/odoo" --log-level=error)
"${python[@]}" "${options[@]}" --init=base,crm,account --load-language=es_CL --without-demo=True --stop-after-init >"$folder/init.log" 2>&1 ||
  { tail -n 20 "$folder/init.log" >&2; exit 1; }

# Two companies, a user with a key for each, a stage that the shop made itself, and contacts of both.
cat >"$folder/furnish.py" <<'PYTHON'
import datetime
import json

luna = env["res.company"].browse(1)
luna.name = "Panadería Luna"
sol = env["res.company"].create({"name": "Ferretería Sol"})
told = {"luna": {"company": luna.id}, "sol": {"company": sol.id}}
groups = [(4, env.ref(name).id) for name in ("sales_team.group_sale_salesman_all_leads", "base.group_partner_manager")]
for name, company in (("luna", luna), ("sol", sol)):
    login = f"agente@{name}.cl"
    user = env["res.users"].with_context(no_reset_password=True).create({
        "name": f"Agente de {name}", "login": login, "lang": "es_CL", "company_id": company.id,
        "company_ids": [(6, 0, [company.id])], "group_ids": groups,
    })
    tomorrow = datetime.datetime.now() + datetime.timedelta(days=1)
    told[name] |= {"login": login, "key": env["res.users.apikeys"].with_user(user.id)._generate(None, "gateway", tomorrow)}
env["crm.stage"].create({"name": "Negociación", "sequence": 4})
chile, argentina = env.ref("base.cl").id, env.ref("base.ar").id
tag = env["res.partner.category"].create({"name": "mayorista"})
partner = env["res.partner"].create
hotel = partner({"name": "Hotel Calle-Calle SpA", "is_company": True, "vat": "76.086.428-5", "country_id": chile,
                 "customer_rank": 1, "company_id": luna.id, "category_id": [(4, tag.id)]})
rosa = partner({"name": "Rosa Huenchur", "parent_id": hotel.id, "email": "rosa.huenchur@hotelcallecalle.cl",
                "phone": "+56 9 8123 4567", "customer_rank": 1, "company_id": luna.id, "country_id": chile})
partner({"name": "Molinos del Sur Ltda.", "is_company": True, "supplier_rank": 1, "company_id": luna.id, "country_id": chile})
partner({"name": "Lucía Benítez", "country_id": argentina, "company_id": luna.id, "email": "lucia.benitez@example.com.ar"})
clavos = partner({"name": "Rosa del Sol", "phone": "981234567", "company_id": sol.id, "country_id": chile})
lead = env["crm.lead"].create({"name": "Clavos", "type": "opportunity", "partner_id": clavos.id, "company_id": sol.id,
                               "expected_revenue": 7, "user_id": False, "team_id": False})
told["luna"] |= {"rosa": rosa.id, "hotel": hotel.id}
told["sol"] |= {"contact": clavos.id, "opportunity": lead.id}
env.cr.commit()
print("TOLD=" + json.dumps(told))
PYTHON
"${python[@]}" shell "${options[@]}" --no-http --shell-interface=python <"$folder/furnish.py" >"$folder/furnish.log" 2>&1 || true
told=$(sed -n 's/^.*TOLD=//p' "$folder/furnish.log" | head -n 1)
[ -n "$told" ] || { tail -n 20 "$folder/furnish.log" >&2; exit 1; }
field() { jq -r "$1" <<<"$told"; }

run odoo "${python[@]}" "${options[@]}" --http-interface=127.0.0.1 "--http-port=$odoo_port" --max-cron-threads=0
odoo_pid=$started
until_ok -f "http://127.0.0.1:$odoo_port/web/version"
run before python3 "$here/odoo_before_19.py" "$before_port" "http://127.0.0.1:$odoo_port"
until_ok "http://127.0.0.1:$before_port/"

admin=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
run gateway env SMARTERMCP_LISTEN="127.0.0.1:$gateway_port" SMARTERMCP_DATA_DIR="$folder/gateway" SMARTERMCP_ADMIN_TOKEN="$admin" \
  SMARTERMCP_BACKEND_ALLOW=127.0.0.1/32 RUST_LOG=warn "$binary" serve
url=http://127.0.0.1:$gateway_port
until_ok -f "$url/health/ready"

# rest TOKEN METHOD PATH [BODY] [curl's options…]: {"status":…,"json":…}
rest() {
  local token=$1 method=$2 path=$3 body=${4:-} status
  shift 3; [ $# -gt 0 ] && shift
  [ "$method" = GET ] || set -- "$@" --data "$body"
  status=$(curl -gsS -o "$folder/answer" -w '%{http_code}' -X "$method" -H "authorization: Bearer $token" \
    -H 'content-type: application/json' "$@" "$url$path")
  jq -c --argjson status "$status" '{status: $status, json: .}' "$folder/answer"
}

# mcp TOKEN TOOL ARGUMENTS REVISION: the JSON-RPC answer
mcp() {
  local params
  params=$(jq -cn --arg name "$2" --argjson arguments "$3" '{name: $name, arguments: $arguments}')
  local headers=(-H "mcp-protocol-version: $4")
  if [ "$4" = 2026-07-28 ]; then
    params=$(jq -c '._meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}' <<<"$params")
    headers+=(-H 'mcp-method: tools/call' -H "mcp-name: $2")
  fi
  curl -sS -X POST -H "authorization: Bearer $1" -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \
    "${headers[@]}" --data "$(jq -cn --argjson params "$params" '{jsonrpc: "2.0", id: 1, method: "tools/call", params: $params}')" "$url/mcp"
}

failures=0
# saw WHAT ANSWER CONDITION: one line of the report.
saw() {
  local verdict=ok shown=$2
  jq -e "$3" <<<"$2" >/dev/null 2>&1 || { verdict='**FAILED**'; failures=$((failures + 1)); }
  [ ${#shown} -gt 1000 ] && shown="${shown:0:1000}…"
  printf -- '- %s: %s\n  `%s`\n' "$verdict" "$1" "$shown"
}

# connect TENANT URL CREDENTIAL
connect() {
  local body
  body=$(jq -cn --arg url "$2" --argjson credential "$3" '{url: $url, credential: $credential}')
  rest "$admin" PUT /api/v1/connections/odoo "$body" -H "x-tenant-id: $1" >/dev/null
}
tested() { rest "$admin" POST /api/v1/connections/odoo/test '{}' -H "x-tenant-id: $1"; }
credential_of() { jq -c --arg name "$1" '.[$name] | {api_key: .key, company_id: .company, database: "shared", login}' <<<"$told"; }

printf '## Odoo, %s\n\n' "$(date -u +%F)"
printf 'A real Odoo %s (Debian sid, %s) with CRM, Invoicing and es_CL, and one database with two companies; a tenant for each, with a user and an API key of its own. `antes` is luna again, by JSON-RPC: a proxy before the same Odoo hides JSON-2 and says 18.0.\n\n' \
  "$(curl -sS "http://127.0.0.1:$odoo_port/web/version" | jq -r .version)" "$package"

# More calls than an agent would make in a minute.
wide='{"general": {"per_minute": 6000, "per_hour": 60000, "burst": 1000}, "categories": {"crm": {"per_minute": 6000}}}'
declare -A token
for tenant in luna sol antes; do
  id=$(rest "$admin" POST /api/v1/tenants "{\"name\": \"$tenant\", \"slug\": \"$tenant\"}" | jq -r .json.id)
  token[$tenant]=$(rest "$admin" POST /auth/token "{\"name\": \"real\", \"scopes\": [\"write:crm\"], \"tenant_id\": \"$id\", \"limits\": $wide}" | jq -r .json.api_token)
done
luna=${token[luna]} sol=${token[sol]} antes=${token[antes]}
address=http://127.0.0.1:$odoo_port
connect luna "$address" "$(credential_of luna)"
connect sol "$address" "$(credential_of sol)"
connect antes "http://127.0.0.1:$before_port" "$(credential_of luna)"
saw 'luna: the connection is tested' "$(tested luna)" '.status == 200 and .json.version == "19.0" and (.json.detail | contains("JSON-2 for the company '"'Panadería Luna'"'"))'
saw 'sol: the connection is tested' "$(tested sol)" '.status == 200 and (.json.detail | contains("Ferretería Sol"))'
saw 'antes: the connection is tested' "$(tested antes)" '.status == 200 and .json.version == "18.0" and (.json.detail | contains("JSON-RPC"))'
wrong() { # wrong WHAT TENANT URL CHANGE CODE
  connect "$2" "$3" "$(credential_of luna | jq -c "$4")"
  saw "$1" "$(tested "$2")" ".status == 502 and .json.code == \"$5\""
}
wrong 'a wrong key is told as such' luna "$address" '.api_key = "wrong"' credential_refused
wrong 'so is a database that is not there' luna "$address" '.database = "nowhere"' backend_refused
wrong 'a company that is not its user'"'s" luna "$address" ".company_id = $(field .sol.company)" permission_missing
wrong 'by JSON-RPC: a wrong key' antes "http://127.0.0.1:$before_port" '.api_key = "wrong"' credential_refused
wrong 'by JSON-RPC: a database that is not there' antes "http://127.0.0.1:$before_port" '.database = "nowhere"' credential_refused
wrong 'by JSON-RPC: no login' antes "http://127.0.0.1:$before_port" 'del(.login)' credential_refused
connect luna "$address" "$(credential_of luna)"
connect antes "http://127.0.0.1:$before_port" "$(credential_of luna)"

# both WHAT TOOL PATH ARGUMENTS CONDITION: by REST, by both eras of MCP and by JSON-RPC, which must say the same.
both() {
  local answer revision
  answer=$(rest "$luna" GET "$3")
  saw "luna: $1" "$answer" ".status == 200 and (.json | $5)"
  for revision in 2025-11-25 2026-07-28; do
    [ "$(mcp "$luna" "$2" "$4" "$revision" | jq -cS .result.structuredContent)" = "$(jq -cS .json <<<"$answer")" ] ||
      saw "luna: $2 by MCP $revision says the same" '"no"' false
  done
  [ "$(rest "$antes" GET "$3" | jq -cS .json)" = "$(jq -cS .json <<<"$answer")" ] || saw "antes: $2 by JSON-RPC says the same" "$(rest "$antes" GET "$3")" false
}
both 'contacts, by REST, both eras of MCP and JSON-RPC' crm_contacts_list /api/v1/crm/contacts '{}' \
  '([.contacts[].name] | (index("Rosa Huenchur") and index("Hotel Calle-Calle SpA"))) and ([.contacts[].name] | all(. != "Rosa del Sol" and . != "Ferretería Sol" and . != "Agente de sol"))'
both 'Chilean customers' crm_contacts_list '/api/v1/crm/contacts?filter[country]=cl&filter[type]=customer' '{"filter": {"country": "cl", "type": "customer"}}' '[.contacts[].name] == ["Hotel Calle-Calle SpA", "Rosa Huenchur"]'
both 'vendors' crm_contacts_list '/api/v1/crm/contacts?filter[type]=vendor' '{"filter": {"type": "vendor"}}' '[.contacts[].name] == ["Molinos del Sur Ltda."]'
both 'companies' crm_contacts_list '/api/v1/crm/contacts?filter[type]=company' '{"filter": {"type": "company"}}' '[.contacts[].name] == ["Hotel Calle-Calle SpA", "Molinos del Sur Ltda."]'
both 'by a tag' crm_contacts_list '/api/v1/crm/contacts?filter[tag]=MAYORISTA' '{"filter": {"tag": "MAYORISTA"}}' '[.contacts[].tags] == [["mayorista"]]'
both 'of a company' crm_contacts_list '/api/v1/crm/contacts?filter[company]=calle-calle' '{"filter": {"company": "calle-calle"}}' '[.contacts[].company] == [null, "Hotel Calle-Calle SpA"]'
for query in 981234567 '+56 9 8123 4567' 56981234567 '09 8123 4567' huenchur 'rosa.huenchur@'; do
  both "search $query" crm_contacts_search "/api/v1/crm/contacts/search?query=$(jq -rn --arg q "$query" '$q | @uri')" "$(jq -cn --arg q "$query" '{query: $q}')" '[.contacts[].name] == ["Rosa Huenchur"]'
done
for query in 76.086.428-5 76086428-5 760864285; do
  both "search $query" crm_contacts_search "/api/v1/crm/contacts/search?query=$query" "$(jq -cn --arg q "$query" '{query: $q}')" 'any(.contacts[]; .name == "Hotel Calle-Calle SpA")'
done
both 'wildcards stand for themselves' crm_contacts_search '/api/v1/crm/contacts/search?query=R_sa%25' '{"query": "R_sa%"}' '.contacts == []'
page=$(rest "$luna" GET '/api/v1/crm/contacts?limit=2')
saw 'luna: the next page goes on where the first ended' "$(rest "$luna" GET "/api/v1/crm/contacts?limit=2&cursor=$(jq -r .json.next_cursor <<<"$page")")" ".status == 200 and .json.contacts[0].id > $(jq '.json.contacts[1].id' <<<"$page")"

upsert() { rest "$1" POST /api/v1/crm/records "$2" "${@:3}"; }
contact=$(upsert "$luna" '{"kind": "contact", "fields": {"name": "Nahuel Paillán", "email": "nahuel@example.cl", "phone": "+56 9 4444 5555", "company": "hotel calle-calle spa", "tags": ["MAYORISTA", "ferias"]}}')
saw 'luna: a contact is made, with a company and a tag that there are and a tag that there is not' "$contact" \
  '.status == 200 and .json.created and .json.record.company == "Hotel Calle-Calle SpA" and (.json.record.tags | sort) == ["ferias", "mayorista"]'
nahuel=$(jq .json.id <<<"$contact")
saw 'antes: changed by JSON-RPC' "$(upsert "$antes" "{\"kind\": \"contact\", \"id\": $nahuel, \"fields\": {\"email\": \"\", \"company\": \"Nadie Ltda.\", \"tags\": [\"mar\"]}}")" \
  '.status == 200 and (.json.created | not) and .json.record.email == null and .json.record.company == "Nadie Ltda." and .json.record.tags == ["mar"]'
sale=$(upsert "$luna" "{\"kind\": \"opportunity\", \"fields\": {\"name\": \"Pan para la feria\", \"contact_id\": $nahuel, \"stage\": \"proposal\", \"expected_revenue\": 250000}}")
saw 'luna: an opportunity is made' "$sale" ".status == 200 and .json.record.stage == \"proposal\" and .json.record.contact.id == $nahuel and .json.record.expected_revenue == 250000"
sale=$(jq .json.id <<<"$sale")
for stage in Negociación lost qualified negotiation; do
  saw "luna: it is moved to $stage" "$(upsert "$luna" "{\"kind\": \"opportunity\", \"id\": $sale, \"fields\": {\"stage\": \"$stage\"}}")" ".status == 200 and .json.record.stage == (\"$stage\" | sub(\"Negociación\"; \"negotiation\"))"
done
won=$(upsert "$antes" "{\"kind\": \"opportunity\", \"fields\": {\"name\": \"Cóctel\", \"contact_id\": $(field .luna.rosa), \"stage\": \"Ganado\", \"expected_revenue\": 540000}}")
saw 'antes: one is made as won, by JSON-RPC' "$won" '.status == 200 and .json.record.stage == "won" and .json.record.probability == 100'
saw 'luna: what is won cannot be lost, in the words of Odoo' "$(upsert "$luna" "{\"kind\": \"opportunity\", \"id\": $(jq .json.id <<<"$won"), \"fields\": {\"stage\": \"lost\"}}")" '.status == 422 and (.json.detail | contains("No puede perder"))'
saw 'luna: one is made as lost' "$(upsert "$luna" '{"kind": "opportunity", "fields": {"name": "Envíos a Bariloche", "stage": "lost", "expected_revenue": 700000}}')" '.status == 200 and .json.record.stage == "lost" and .json.record.contact == null'
saw 'luna: a stage that is not there is refused with those that are' "$(upsert "$luna" "{\"kind\": \"opportunity\", \"id\": $sale, \"fields\": {\"stage\": \"Degustación\"}}")" ".status == 422 and (.json.detail | contains(\"'Negociación'\"))"
both 'leads: who has an opportunity and is no customer' crm_contacts_list '/api/v1/crm/contacts?filter[type]=lead' '{"filter": {"type": "lead"}}' '[.contacts[].name] == ["Nahuel Paillán"]'
both 'opportunities' crm_opportunities_list /api/v1/crm/opportunities '{}' '[.opportunities[].stage] == ["negotiation", "won", "lost"]'
for stage in new negotiation won lost; do
  both "opportunities, $stage" crm_opportunities_list "/api/v1/crm/opportunities?stage=$stage" "{\"stage\": \"$stage\"}" "all(.opportunities[]; .stage == \"$stage\") and (.opportunities | length) == ($([ $stage = new ] && echo 0 || echo 1))"
done
both 'the pipeline' crm_pipeline_status /api/v1/crm/pipeline '{}' '.total_opportunities == 2 and .total_value == 790000 and .conversion_rate == 50 and ([.by_stage[].stage] == ["new", "qualified", "proposal", "negotiation", "won"])'

once='{"kind": "contact", "fields": {"name": "Una Vez"}}'
first=$(upsert "$luna" "$once" -H 'idempotency-key: k1')
again=$(upsert "$luna" "$once" -H 'idempotency-key: k1')
saw 'luna: the same key makes one contact' "$(jq -cn --argjson first "$first" --argjson again "$again" --argjson found "$(rest "$luna" GET '/api/v1/crm/contacts/search?query=Una%20Vez')" '{first: $first.json.id, again: $again.json.id, found: ($found.json.contacts | length)}')" '.first == .again and .found == 1'

saw 'sol: its own contacts and no other' "$(rest "$sol" GET /api/v1/crm/contacts)" '[.json.contacts[].name] == ["Rosa del Sol"]'
saw 'sol: finds its own Rosa by the phone number that both have' "$(rest "$sol" GET '/api/v1/crm/contacts/search?query=%2B56981234567')" '[.json.contacts[].name] == ["Rosa del Sol"]'
saw 'sol: its own opportunities and no other' "$(rest "$sol" GET /api/v1/crm/opportunities)" '[.json.opportunities[].name] == ["Clavos"]'
saw 'sol: its own pipeline' "$(rest "$sol" GET /api/v1/crm/pipeline)" '.json.total_opportunities == 1 and .json.conversion_rate == null and .json.unavailable[0].name == "conversion_rate"'
saw "sol: luna's contact is not found" "$(upsert "$sol" "{\"kind\": \"contact\", \"id\": $nahuel, \"fields\": {\"name\": \"x\"}}")" '.status == 404 and .json.code == "not_found"'
saw "sol: nor her opportunity, by MCP" "$(mcp "$sol" crm_records_upsert "{\"kind\": \"opportunity\", \"id\": $sale, \"fields\": {\"stage\": \"won\"}}" 2025-11-25 | jq -c .result)" '.isError and (.content[0].text | contains("no opportunity"))'
saw "sol: nor can an opportunity be with her contact" "$(upsert "$sol" "{\"kind\": \"opportunity\", \"fields\": {\"name\": \"x\", \"contact_id\": $nahuel}}")" '.status == 404'
saw "luna: nor are sol's for her" "$(upsert "$luna" "{\"kind\": \"opportunity\", \"id\": $(field .sol.opportunity), \"fields\": {\"stage\": \"won\"}}")" '.status == 404'

kill "$odoo_pid" && wait "$odoo_pid" 2>/dev/null || true
saw 'luna: Odoo is stopped: a failure, and no empty success' "$(rest "$luna" GET /api/v1/crm/contacts)" '.status == 503 and .json.code == "backend_down"'
saw 'luna: and nothing is written' "$(upsert "$luna" '{"kind": "contact", "fields": {"name": "x"}}')" '.status == 503 and .json.code == "backend_down"'

if [ "$failures" = 0 ]; then printf '\nEverything as it should be.\n'; else printf '\n%s failed.\n' "$failures"; exit 1; fi
