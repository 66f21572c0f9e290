# The Vault beside the gateway: one node that keeps its data on a volume. TLS is left out within the machine: the port is published
# on loopback alone, and the network has nobody but the gateway.
storage "raft" {
  path    = "/vault/file"
  node_id = "vault"
}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}

api_addr      = "http://vault:8200"
cluster_addr  = "https://vault:8201"
# Without capabilities no memory can be locked; give the machine no swap, or an encrypted one.
disable_mlock = true
ui            = false
