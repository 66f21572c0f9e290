"""Does what a CRM's client does, with Odoo's own client library (odoo-client-lib), by the protocol named by the argument."""

import json
import os
import sys

import odoolib


def main(protocol: str) -> dict:
    connection = odoolib.get_connection(
        hostname=os.environ["ODOO_HOST"],
        port=int(os.environ["ODOO_PORT"]),
        protocol=protocol,
        database=os.environ["ODOO_DATABASE"],
        login=os.environ["ODOO_LOGIN"],
        password=os.environ["ODOO_KEY"],
    )
    connection.check_login()
    context = connection.get_user_context()
    partners, leads = connection.get_model("res.partner"), connection.get_model("crm.lead")
    named = ["name", "email", "parent_id", "category_id"]
    rosa = partners.search_read(domain=[["name", "ilike", "rosa"]], fields=named, limit=5)
    # By position: the library asks the server for the names of the parameters.
    made = partners.create([{"name": "Por posición", "category_id": [[6, 0, []], [0, 0, {"name": "nueva"}]]}])
    written = partners.write(made, {"phone": "+56 9 1111 2222"})
    read_back = partners.read(made, ["name", "phone", "email", "category_id"])
    return {
        "client": "odoo-client-lib",
        "protocol": protocol,
        "language": context["lang"],
        "rosa": rosa,
        "created": made,
        "written": written,
        "read": read_back[0] if isinstance(read_back, list) else read_back,
        "count": leads.search_count(domain=[["type", "=", "opportunity"]]),
        "chileans": partners.search_count([["country_id.code", "=", "CL"]]),
        "fields": sorted(connection.get_model("crm.stage").fields_get(["name", "team_id", "team_ids"], ["type"])),
        "refused": refused(partners),
    }


def refused(partners) -> str:
    """What the library makes of a field that does not exist."""
    try:
        partners.search_read(domain=[], fields=["no_such_field"])
    except Exception as error:
        return str(error)
    return ""


if __name__ == "__main__":
    try:
        outcome = main(sys.argv[1])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(outcome))
