# A NixOS module: the node's networks, K3s options and hosts, from profiles/ by way of `n3x cluster render`.
#
#   imports = [ (import ./backends/nixos/n3x-node.nix { profile = "vlans"; node = "server-1"; }) ];
{ profile, node }:
let
  data = builtins.fromJSON (builtins.readFile (./profiles + "/${profile}.json"));
in
{
  imports = [
    { config = data.common; }
    { config = data.nodes.${node} or (throw "profile ${profile} has no node ${node}"); }
  ];
}
