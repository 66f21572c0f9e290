"""hvac, the Python client of Vault, against the Vault of a test: what it does there must come to what hvac expects of a real one."""
import base64
import json
import os
from importlib.metadata import version

import hvac
from hvac import exceptions

address, root = os.environ["VAULT_ADDR"], os.environ["VAULT_ROOT"]
path = os.environ["VAULT_PATH"]
folder = path.rsplit("/", 1)[0]
done = []


def raises(kind, what):
    try:
        what()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


admin = hvac.Client(url=address, token=root)
assert admin.is_authenticated() and not admin.sys.is_sealed() and admin.sys.is_initialized()
assert admin.sys.read_health_status(method="GET")["sealed"] is False
mounts = admin.sys.list_mounted_secrets_engines()["data"]
assert mounts["smarteros/"]["type"] == "kv" and mounts["smarteros/"]["options"]["version"] == "2"
done.append("system")

kv = admin.secrets.kv.v2
written = kv.create_or_update_secret(path, {"api_key": "one"}, cas=0, mount_point="smarteros")
assert written["data"]["version"] == 1
raises(exceptions.InvalidRequest, lambda: kv.create_or_update_secret(path, {"api_key": "x"}, cas=0, mount_point="smarteros"))
kv.create_or_update_secret(path, {"api_key": "two"}, cas=1, mount_point="smarteros")
read = kv.read_secret_version(path, mount_point="smarteros", raise_on_deleted_version=True)
assert read["data"]["data"] == {"api_key": "two"} and read["data"]["metadata"]["version"] == 2
first = kv.read_secret_version(path, version=1, mount_point="smarteros", raise_on_deleted_version=True)
assert first["data"]["data"] == {"api_key": "one"}
assert kv.read_secret_metadata(path, mount_point="smarteros")["data"]["current_version"] == 2
kv.destroy_secret_versions(path, [1], mount_point="smarteros")
raises(exceptions.InvalidPath, lambda: kv.read_secret_version(path, version=1, mount_point="smarteros", raise_on_deleted_version=True))
# hvac reads the body of the 404: what was deleted still has its metadata.
kv.delete_latest_version_of_secret(path, mount_point="smarteros")
gone = kv.read_secret_version(path, mount_point="smarteros", raise_on_deleted_version=False)
assert gone["data"]["data"] is None and gone["data"]["metadata"]["deletion_time"] != ""
kv.undelete_secret_versions(path, [2], mount_point="smarteros")
assert kv.list_secrets(folder, mount_point="smarteros")["data"]["keys"] == ["n8n"]
raises(exceptions.InvalidPath, lambda: kv.read_secret_version("nothing/here", mount_point="smarteros", raise_on_deleted_version=True))
done.append("kv")

gateway = hvac.Client(url=address)
raises(exceptions.InvalidRequest, lambda: gateway.auth.approle.login(role_id=os.environ["VAULT_ROLE_ID"], secret_id="wrong"))
login = gateway.auth.approle.login(role_id=os.environ["VAULT_ROLE_ID"], secret_id=os.environ["VAULT_SECRET_ID"])
assert login["auth"]["renewable"] is True and gateway.is_authenticated()
assert "smartermcp-gateway" in gateway.auth.token.lookup_self()["data"]["policies"]
assert gateway.auth.token.renew_self()["auth"]["lease_duration"] == 3600
own = gateway.secrets.kv.v2.read_secret_version(path, mount_point="smarteros", raise_on_deleted_version=True)
assert own["data"]["data"] == {"api_key": "two"}
raises(exceptions.Forbidden, lambda: gateway.secrets.kv.v2.list_secrets("tenants", mount_point="smarteros"))
raises(exceptions.Forbidden, lambda: gateway.sys.list_mounted_secrets_engines())
held = gateway.sys.get_capabilities(paths=[f"smarteros/data/{path}"])["data"][f"smarteros/data/{path}"]
assert sorted(held) == ["create", "read", "update"], held
done.append("approle")

transit, name = admin.secrets.transit, "smarteros-secrets"
text = base64.b64encode(b"hello").decode()
made = transit.encrypt_data(name, text)["data"]["ciphertext"]
assert transit.decrypt_data(name, made)["data"]["plaintext"] == text
key = gateway.secrets.transit.generate_data_key(name, "plaintext")["data"]
assert gateway.secrets.transit.decrypt_data(name, key["ciphertext"])["data"]["plaintext"] == key["plaintext"]
assert len(base64.b64decode(key["plaintext"])) == 32
raises(exceptions.Forbidden, lambda: gateway.secrets.transit.encrypt_data(name, text))
before = transit.read_key(name)["data"]["latest_version"]
transit.rotate_key(name)
anew = transit.rewrap_data(name, made)["data"]["ciphertext"]
assert anew.startswith(f"vault:v{before + 1}:")
raises(exceptions.InvalidRequest, lambda: transit.decrypt_data(name, "vault:v1:" + text))
done.append("transit")

gateway.auth.token.revoke_self()
assert not gateway.is_authenticated()
done.append("revoked")
print(json.dumps({"client": "hvac " + version("hvac"), "done": done}))
