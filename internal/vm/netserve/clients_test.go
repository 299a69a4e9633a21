package netserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/vm/vswitch"
)

// outpost is a network namespace with one network card, whose frames go to a port of a virtual switch: the place for real programs. They
// are run one after the other by a thread that never leaves it.
type outpost struct {
	t    *testing.T
	jobs chan func()
}

// run runs a shell script there.
func (o *outpost) run(script string) (string, error) {
	o.t.Helper()
	var out []byte
	var err error
	done := make(chan struct{})
	o.jobs <- func() {
		defer close(done)
		c := exec.Command("/bin/sh", "-c", script) // #nosec: the test's own
		c.Env = append(os.Environ(), "LC_ALL=C")
		out, err = c.CombinedOutput()
	}
	<-done
	return string(out), err
}

func (o *outpost) must(script string) string {
	o.t.Helper()
	out, err := o.run(script)
	if err != nil {
		o.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// dial connects from the namespace, by the kernel's own TCP and UDP.
func (o *outpost) dial(network, to string) (c net.Conn, err error) {
	done := make(chan struct{})
	o.jobs <- func() {
		defer close(done)
		c, err = net.DialTimeout(network, to, 2*time.Second)
	}
	<-done
	return c, err
}

// web is an HTTP client in the namespace.
func (o *outpost) web() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, network, to string) (net.Conn, error) { return o.dial(network, to) }}}
}

// plugIn makes one. Without the rights or the programs for that the test is skipped.
func plugIn(t *testing.T, end *os.File, mac string) *outpost {
	t.Helper()
	for _, program := range []string{"ip", "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("this host has no %s", program)
		}
	}
	o := &outpost{t, make(chan func())}
	ready := make(chan error, 1)
	var tap *os.File
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this function, and its namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			tap, err = openTap("eth1")
		}
		ready <- err
		if err != nil {
			return
		}
		for job := range o.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("no network namespace with a tap here: %v", err)
	}
	t.Cleanup(func() { close(o.jobs); tap.Close() })
	for _, pair := range [][2]*os.File{{tap, end}, {end, tap}} {
		go func() {
			buf := make([]byte, 1<<16)
			for {
				n, err := pair[0].Read(buf)
				if err != nil {
					return
				}
				_, _ = pair[1].Write(buf[:n]) // a card that is not up yet takes nothing
			}
		}()
	}
	o.must("ip link set lo up; ip link set eth1 address " + mac + " up")
	return o
}

// openTap makes a network card of the namespace in which the caller's thread is.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

// village is a server and programs at ports of one switch, in VLAN 7.
func village(t *testing.T, c Config) (*Server, *outpost) {
	t.Helper()
	sw := vswitch.New("test", 1)
	t.Cleanup(func() { sw.Close() })
	_, theirs, err := sw.Plug(vswitch.PortConfig{Name: "server", Access: 7})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(c, theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	_, end, err := sw.Plug(vswitch.PortConfig{Name: "programs", Access: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return s, plugIn(t, end, "52:54:00:01:01:01")
}

func TestUdhcpc(t *testing.T) {
	t.Parallel()
	c := lab()
	c.DHCP.Router, c.DHCP.Resolvers, c.DHCP.Domain = netip.MustParseAddr("192.168.1.254"), []netip.Addr{netip.MustParseAddr("192.168.1.254")}, "lab.test"
	s, o := village(t, c)
	hook := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n[ $1 = bound ] || exit 0\nip addr add $ip/$mask dev $interface\necho $ip $mask $lease $router $dns $domain $serverid $hostname\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out := o.must("busybox udhcpc -i eth1 -f -q -n -t 10 -T 2 -s " + hook)
	if !strings.Contains(out, "192.168.1.1 24 43200 192.168.1.254 192.168.1.254 lab.test 192.168.1.254 server-1") {
		t.Error(out)
	}
	if out := o.must("ping -c 2 -W 5 192.168.1.254 2>&1 || busybox ping -c 2 -W 5 192.168.1.254"); !strings.Contains(out, " 0% packet loss") {
		t.Error(out)
	}
	s.SetUp(false)
	if out, err := o.run("busybox udhcpc -i eth1 -f -q -n -t 2 -T 1 -s " + hook); err == nil {
		t.Errorf("a server that is off gave an address: %s", out)
	}
}

func TestDhclient(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dhclient"); err != nil {
		t.Skip("this host has no dhclient")
	}
	s, o := village(t, lab())
	dir := t.TempDir()
	script := "#!/bin/sh\n[ -z \"$new_ip_address\" ] || echo \"$reason $new_ip_address $new_subnet_mask $new_dhcp_lease_time router=$new_routers dns=$new_domain_name_servers $new_host_name\" >>" + dir + "/said\n"
	if err := os.WriteFile(dir+"/hook", []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	o.must("timeout 60 dhclient -1 -d -lf " + dir + "/leases -pf " + dir + "/pid -sf " + dir + "/hook eth1 & for i in $(seq 300); do [ -s " + dir + "/said ] && break; sleep 0.1; done; kill $!; wait; true")
	said, err := os.ReadFile(dir + "/said")
	if err != nil || !strings.HasPrefix(string(said), "BOUND 192.168.1.1 255.255.255.0 43200 router= dns= server-1") {
		t.Errorf("%s %v", said, err)
	}
	if l := s.Leases(); len(l) != 1 || l[0].MAC != "52:54:00:01:01:01" {
		t.Error(l)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	upstream := nameServer(t)
	c := lab()
	c.DNS = &DNS{Domain: "lab.test", Names: map[string]netip.Addr{"server-1": netip.MustParseAddr("192.168.1.1"), "six": netip.MustParseAddr("fd00::6")}}
	_, o := village(t, c)
	o.must("ip addr add 192.168.1.77/24 dev eth1")
	look := func(what string) string {
		out, err := o.run("busybox nslookup " + what + " 192.168.1.254")
		return out + fmt.Sprint(err)
	}
	for what, want := range map[string]string{
		"server-1": "192.168.1.1", "SERVER-1.lab.test": "192.168.1.1", "-type=aaaa six": "fd00::6", "192.168.1.1": "server-1.lab.test",
		"nobody": "NXDOMAIN", "nobody.lab.test": "NXDOMAIN", "example.org": "REFUSED",
	} {
		if out := look(what); !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %s", what, out, want)
		}
	}
	c.DNS.Upstream = []netip.AddrPort{upstream}
	_, o = village(t, c)
	o.must("ip addr add 192.168.1.77/24 dev eth1")
	if out := look("example.org"); !strings.Contains(out, "192.0.2.80") {
		t.Error(out)
	}
}

// nameServer is a name server on this host that knows one name.
func nameServer(t *testing.T) netip.AddrPort {
	t.Helper()
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	s := &Server{config: Config{DNS: &DNS{Names: map[string]netip.Addr{"example.org": netip.MustParseAddr("192.0.2.80")}}}}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(s.resolve(buf[:n], "udp"), from)
		}
	}()
	return u.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestNAT(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes", n)
			return
		}
		_, _ = io.WriteString(w, big)
	}))
	t.Cleanup(web.Close)
	port, err := strconv.Atoi(web.URL[strings.LastIndex(web.URL, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	echo := echoServer(t)
	c := lab()
	c.NAT = &NAT{Host: []int{port, echo}}
	_, o := village(t, c)
	o.must("ip addr add 192.168.1.77/24 dev eth1; ip route add default via 192.168.1.254")
	site := fmt.Sprintf("http://192.168.1.254:%d/", port)
	if res, err := o.web().Get(site); err != nil {
		t.Error(err)
	} else if body, err := io.ReadAll(res.Body); err != nil || string(body) != big {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
	if res, err := o.web().Post(site, "text/plain", strings.NewReader(big)); err != nil {
		t.Error(err)
	} else if body, err := io.ReadAll(res.Body); err != nil || string(body) != fmt.Sprintf("%d bytes", len(big)) {
		t.Errorf("got %q, %v", body, err)
	}
	if u, err := o.dial("udp4", fmt.Sprintf("192.168.1.254:%d", echo)); err != nil {
		t.Error(err)
	} else {
		defer u.Close()
		buf := make([]byte, 100)
		_ = u.SetDeadline(time.Now().Add(20 * time.Second))
		_, werr := u.Write([]byte("hello"))
		if n, err := u.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("UDP brought back %q, %v, %v", buf[:n], werr, err)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler()) // a service of this host that nobody shares
	t.Cleanup(other.Close)
	own := ownAddress(t)
	for _, to := range []string{"192.168.1.254:" + other.URL[strings.LastIndex(other.URL, ":")+1:], own + ":" + strconv.Itoa(port)} {
		start := time.Now()
		if _, err := o.web().Get("http://" + to + "/"); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v", to, err)
		}
		if time.Since(start) > 20*time.Second {
			t.Errorf("%s was not refused at once", to)
		}
	}
	if out, err := o.run("busybox ping -c 1 -W 1 198.51.100.7"); err == nil {
		t.Errorf("a machine that is not there answers: %s", out)
	}
}

func echoServer(t *testing.T) int {
	t.Helper()
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(buf[:n], from)
		}
	}()
	return u.LocalAddr().(*net.UDPAddr).Port
}

// ownAddress is an address of this host that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this host has no address")
	return ""
}

// Without NAT nothing of the outside is there.
func TestNoNAT(t *testing.T) {
	t.Parallel()
	_, o := village(t, lab())
	o.must("ip addr add 192.168.1.77/24 dev eth1; ip route add default via 192.168.1.254")
	if c, err := o.dial("tcp4", ownAddress(t)+":22"); err == nil || errors.Is(err, unix.ECONNREFUSED) {
		t.Error(c, err)
	}
	if c, err := o.dial("tcp4", "192.168.1.254:80"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Error(c, err)
	}
}
