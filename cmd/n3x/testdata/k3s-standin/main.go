// Command k3s stands in for K3s where its packages, units and configuration are tested. Like K3s it knows its flags and refuses others,
// needs a default route and the address it is told, and tells systemd when it is ready. Its servers list the machines that
// came with the right token, and its agents and further servers come over the network; what they say to each other is its own.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// version is a release that is not K3s'.
const version = "v0.0.1+standin"

// flags by role; those of hidden are known and not in the list that --help prints.
var flags = map[string][]string{
	"server": {"advertise-address", "tls-san", "cluster-init", "cluster-cidr", "service-cidr", "cluster-dns"},
	"agent":  {},
	"both":   {"node-name", "node-ip", "flannel-iface", "server", "token", "token-file", "node-label", "node-taint", "config"},
	"hidden": {"disable-agent"},
}

func main() {
	var err error
	switch role := strings.Join(os.Args[1:min(2, len(os.Args))], ""); {
	case filepath.Base(os.Args[0]) == "kubectl":
		err = list(os.Stdout)
	case role == "server" || role == "agent":
		err = start(role, os.Args[2:])
	default:
		fmt.Println("k3s version", version, "(k3s server|agent [--help])")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "k3s:", err)
		os.Exit(1)
	}
}

// start is a role's subcommand.
func start(role string, args []string) error {
	known := append(slices.Clone(flags["both"]), flags[role]...)
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		wrong := ""
		switch {
		case !slices.Contains(append(known, append(flags["hidden"], "help")...), name):
			wrong = "flag provided but not defined: -" + name
		case name == "disable-agent" && value != "true" && value != "false":
			wrong = fmt.Sprintf("invalid boolean value %q for -%s: parse error", value, name)
		}
		if wrong != "" {
			fmt.Println("Incorrect Usage:", wrong)
			usage(role, known)
			return errors.New(wrong)
		}
	}
	if slices.Contains(args, "--help") {
		usage(role, known)
		return nil
	}
	return run(role, append(known, flags["hidden"]...))
}

// usage is laid out as K3s' own.
func usage(role string, known []string) {
	fmt.Printf("NAME:\n   k3s %s - Run node as %s\n\nUSAGE:\n   k3s %s [OPTIONS]\n\nOPTIONS:\n", role, role, role)
	for _, f := range known {
		switch f {
		case "config":
			fmt.Println("   --config FILE, -c FILE  (config) Load configuration from FILE (default: \"/etc/rancher/k3s/config.yaml\") [$K3S_CONFIG_FILE]")
		case "token":
			fmt.Println("   --token value, -t value  (cluster) Shared secret [$K3S_TOKEN]")
		default:
			fmt.Printf("   --%s value  (stand-in) As K3s' flag [$K3S_%s]\n", f, strings.ToUpper(strings.ReplaceAll(f, "-", "_")))
		}
	}
}

// settings reads the configuration: the file, and the folder beside it.
func settings(known []string) (map[string]string, error) {
	out := map[string]string{}
	files, err := filepath.Glob("/etc/rancher/k3s/config.yaml.d/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{"/etc/rancher/k3s/config.yaml"}, files...) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			key, value, found := strings.Cut(line, ":")
			if !found || strings.HasPrefix(key, "#") || strings.HasPrefix(key, "-") {
				continue
			}
			if !slices.Contains(known, key) {
				return nil, fmt.Errorf("flag provided but not defined: -%s", key)
			}
			out[key] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return out, nil
}

func run(role string, known []string) error {
	s, err := settings(known)
	if err != nil {
		return err
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil || !strings.Contains(string(routes), "\t00000000\t") {
		return errors.Join(errors.New("no default routes found"), err)
	}
	if err := hasAddress(s["flannel-iface"], s["node-ip"]); err != nil {
		return err
	}
	token, err := clusterToken(role, s)
	if err != nil {
		return err
	}
	n := &node{name: s["node-name"], role: role, ip: s["node-ip"], token: token}
	if s["server"] != "" {
		if err := n.join(s["server"]); err != nil {
			return err
		}
	}
	var words []string
	for _, key := range slices.Sorted(keys(s)) {
		words = append(words, key+"="+s[key])
	}
	if role == "agent" {
		return errors.Join(ready(role, words), n.stay())
	}
	l, err := net.Listen("tcp", ":6443")
	if err != nil {
		return err
	}
	return errors.Join(ready(role, words), serve(l, n))
}

func keys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// hasAddress is flannel's demand: the interface that it is told has the node's address.
func hasAddress(name, address string) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("flannel: interface %s: %w", name, err)
	}
	list, err := i.Addrs()
	if err != nil {
		return err
	}
	for _, a := range list {
		if strings.HasPrefix(a.String(), address+"/") {
			return nil
		}
	}
	return fmt.Errorf("flannel: interface %s has %v, not %s", name, list, address)
}

// clusterToken reads the token that the node was given; a server without one makes its own.
func clusterToken(role string, s map[string]string) (string, error) {
	if s["token-file"] != "" {
		text, err := os.ReadFile(s["token-file"])
		return strings.TrimSpace(string(text)), err
	}
	if s["token"] != "" || role == "agent" || s["server"] != "" {
		if s["token"] == "" {
			return "", errors.New("--token is required")
		}
		return s["token"], nil
	}
	file := "/var/lib/rancher/k3s/server/token"
	if text, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	random, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(random)), os.WriteFile(file, random, 0o600)
}

// ready tells systemd and the log.
func ready(role string, words []string) error {
	fmt.Println("K3S-READY", role, strings.Join(words, " "))
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	c, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprint(c, "READY=1")
	return err
}

// node is a machine of the cluster. As long as it is one, it has a connection to a server.
type node struct {
	name, role, ip, token string
	conn                  net.Conn
}

// join comes to a server from the address that the node is told to have.
func (n *node) join(server string) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(n.ip)}}
	if n.conn, err = d.Dial("tcp", u.Host); err != nil {
		return fmt.Errorf("failed to get CA certs: %w", err)
	}
	fmt.Fprintf(n.conn, "join %q %s %s\n", n.token, n.name, n.role)
	answer, err := bufio.NewReader(n.conn).ReadString('\n')
	if err != nil || answer != "welcome\n" {
		return fmt.Errorf("the server says %q (%v)", answer, err)
	}
	return nil
}

// stay returns when the server has gone.
func (n *node) stay() error {
	_, err := io.Copy(io.Discard, n.conn)
	return errors.Join(errors.New("the server has gone"), err)
}

// list prints what kubectl get nodes would.
func list(w io.Writer) error {
	c, err := net.Dial("tcp", "127.0.0.1:6443")
	if err != nil {
		return fmt.Errorf("the connection to the server 127.0.0.1:6443 was refused: %w", err)
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, "nodes"); err != nil {
		return err
	}
	_, err = io.Copy(w, c)
	return err
}
