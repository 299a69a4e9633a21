package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// cluster is what a server knows of its nodes.
type cluster struct {
	self *node
	mu   sync.Mutex
	list []string // "NAME STATUS ROLE ADDRESS"
}

// serve answers whoever comes, for ever.
func serve(l net.Listener, self *node) error {
	c := &cluster{self: self}
	c.set(self.name, "Ready", self.role, self.ip)
	if self.conn != nil {
		go self.stay()
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go c.answer(conn)
	}
}

// set records a node's state.
func (c *cluster) set(name, status, role, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(l string) bool { return strings.HasPrefix(l, name+" ") })
	c.list = append(c.list, name+" "+status+" "+role+" "+address)
	slices.Sort(c.list)
}

// answer tells the nodes to who asks on this machine, and takes in who has the token as long as the connection lasts.
func (c *cluster) answer(conn net.Conn) {
	defer conn.Close()
	line, err := bufio.NewReader(io.LimitReader(conn, 1<<10)).ReadString('\n')
	if err != nil {
		return
	}
	if line == "nodes\n" {
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintln(conn, strings.Join(c.list, "\n"))
		return
	}
	var token, name, role string
	if _, err := fmt.Sscanf(line, "join %q %s %s\n", &token, &name, &role); err != nil || token != c.self.token {
		fmt.Fprintln(conn, "401 Unauthorized")
		return
	}
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return
	}
	if v4 := net.ParseIP(host).To4(); v4 != nil {
		host = v4.String()
	}
	c.set(name, "Ready", role, host)
	fmt.Fprintln(conn, "welcome")
	io.Copy(io.Discard, conn) //nolint:errcheck // however it ends, the node has gone
	c.set(name, "NotReady", role, host)
}
