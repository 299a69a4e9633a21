// Command k3s stands in for K3s where its packages, units and configuration are tested: it knows the flags that n3x writes,
// refuses others, needs a default route, tells systemd when it is ready, and says on its port what it was told.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var flags = map[string][]string{
	"server": {"advertise-address", "tls-san", "cluster-init", "cluster-cidr", "service-cidr", "cluster-dns"},
	"agent":  {},
	"both":   {"node-name", "node-ip", "flannel-iface", "server", "token", "token-file", "node-label", "node-taint", "config"},
}

func main() {
	if len(os.Args) < 2 || flags[os.Args[1]] == nil || os.Args[1] == "both" {
		fmt.Println("k3s stand-in: k3s server|agent [--help]")
		return
	}
	role := os.Args[1]
	known := append(slices.Clone(flags["both"]), flags[role]...)
	if len(os.Args) > 2 && os.Args[2] == "--help" {
		for _, f := range known {
			fmt.Printf("   --%s value\n", f)
		}
		return
	}
	if err := run(role, known); err != nil {
		fmt.Fprintln(os.Stderr, "k3s:", err)
		os.Exit(1)
	}
}

func run(role string, known []string) error {
	files, _ := filepath.Glob("/etc/rancher/k3s/config.yaml.d/*.yaml")
	var settings []string
	for _, name := range append([]string{"/etc/rancher/k3s/config.yaml"}, files...) {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, found := strings.Cut(lines.Text(), ":")
			if !found || strings.HasPrefix(key, "#") || strings.HasPrefix(key, "-") {
				continue
			}
			if !slices.Contains(known, key) {
				return fmt.Errorf("flag provided but not defined: -%s", key)
			}
			value = strings.Trim(strings.TrimSpace(value), `"`)
			if key == "token-file" {
				token, err := os.ReadFile(value)
				if err != nil {
					return err
				}
				value = fmt.Sprintf("%d bytes", len(strings.TrimSpace(string(token))))
			}
			settings = append(settings, key+"="+value)
		}
		f.Close()
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil || !strings.Contains(string(routes), "\t00000000\t") {
		return fmt.Errorf("no default routes found (%v)", err)
	}
	if socket := os.Getenv("NOTIFY_SOCKET"); socket != "" {
		c, err := net.Dial("unixgram", socket)
		if err != nil {
			return err
		}
		fmt.Fprint(c, "READY=1")
		c.Close()
	}
	fmt.Println("K3S-READY", role, strings.Join(settings, " "))
	l, err := net.Listen("tcp", ":6443")
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c, role, strings.Join(settings, " "))
		c.Close()
	}
}
