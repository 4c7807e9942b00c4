package guard_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/guard"
)

func networksOf(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestClientOf(t *testing.T) {
	proxies := networksOf("10.0.0.0/8", "fd00::/8")
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		trusted   []netip.Prefix
		want      string // empty for unknown
	}{
		"peer alone":                    {"203.0.113.9:1234", nil, nil, "203.0.113.9"},
		"nobody is trusted":             {"203.0.113.9:1", []string{"198.51.100.1"}, nil, "203.0.113.9"},
		"peer is not trusted":           {"203.0.113.9:1", []string{"198.51.100.1"}, proxies, "203.0.113.9"},
		"one proxy":                     {"10.0.0.1:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		"two proxies":                   {"10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, proxies, "198.51.100.1"},
		"two lines":                     {"10.0.0.1:1", []string{"198.51.100.1", "10.0.0.2"}, proxies, "198.51.100.1"},
		"spoofed left":                  {"10.0.0.1:1", []string{"127.0.0.1, 192.0.2.1, 198.51.100.1"}, proxies, "198.51.100.1"},
		"spoofed first line":            {"10.0.0.1:1", []string{"127.0.0.1", "198.51.100.1"}, proxies, "198.51.100.1"},
		"spoofed as a proxy":            {"10.0.0.1:1", []string{"10.0.0.9, 198.51.100.1"}, proxies, "198.51.100.1"},
		"garbage left of the client":    {"10.0.0.1:1", []string{"garbage, 198.51.100.1"}, proxies, "198.51.100.1"},
		"garbage between proxies":       {"10.0.0.1:1", []string{"198.51.100.1, garbage, 10.0.0.2"}, proxies, ""},
		"unknown":                       {"10.0.0.1:1", []string{"unknown"}, proxies, ""},
		"empty element":                 {"10.0.0.1:1", []string{"198.51.100.1,"}, proxies, ""},
		"empty line":                    {"10.0.0.1:1", []string{""}, proxies, ""},
		"no header":                     {"10.0.0.1:1", nil, proxies, "10.0.0.1"},
		"all trusted":                   {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, proxies, "10.0.0.3"},
		"IPv4 as IPv6, trusted":         {"[::ffff:10.1.2.3]:1", []string{"198.51.100.1"}, proxies, "198.51.100.1"},
		"IPv4 as IPv6, client":          {"10.0.0.1:1", []string{"::ffff:198.51.100.1"}, proxies, "198.51.100.1"},
		"trusted written as IPv6":       {"10.0.0.1:1", []string{"198.51.100.1"}, networksOf("::ffff:10.0.0.0/104"), "198.51.100.1"},
		"zone of a proxy":               {"[fd00::1%eth0]:1", []string{"2001:db8::1"}, proxies, "2001:db8::1"},
		"zone of a client":              {"10.0.0.1:1", []string{"2001:db8::1%eth0"}, proxies, "2001:db8::1"},
		"ports":                         {"10.0.0.1:1", []string{"198.51.100.1:99, [fd00::2]:80"}, proxies, "198.51.100.1"},
		"brackets without a port":       {"10.0.0.1:1", []string{"[2001:db8::1]"}, proxies, ""},
		"leading zeros":                 {"10.0.0.1:1", []string{"198.051.100.001"}, proxies, ""},
		"a name":                        {"10.0.0.1:1", []string{"localhost"}, proxies, ""},
		"a unix socket":                 {"@", nil, proxies, ""},
		"a peer without a port":         {"203.0.113.9", nil, nil, "203.0.113.9"},
		"tabs":                          {"10.0.0.1:1", []string{"\t198.51.100.1\t"}, proxies, "198.51.100.1"},
		"other white space":             {"10.0.0.1:1", []string{"198.51.100.1\u00a0"}, proxies, ""},
		"a header of ten thousand hops": {"10.0.0.1:1", []string{"198.51.100.1" + strings.Repeat(",10.0.0.2", 10_000)}, proxies, "198.51.100.1"},
	} {
		got, ok := guard.ClientOf(test.remote, test.forwarded, test.trusted)
		if ok != (test.want != "") || (ok && got.String() != test.want) {
			t.Errorf("%s: %v, %v, want %q", name, got, ok, test.want)
		}
	}
}

// oracle is the same rule in the slowest and plainest words: a list of all hops from
// the client to us, and numbers instead of addresses.
func oracle(remote string, forwarded []string, trusted []string) string {
	var hops []string
	for _, line := range forwarded {
		hops = append(hops, strings.Split(line, ",")...)
	}
	hops = append(hops, remote)
	for i := len(hops) - 1; i >= 0; i-- {
		number := numberOf(strings.Trim(hops[i], " \t"))
		if number == nil {
			return ""
		}
		inside := false
		for _, network := range trusted {
			base, bits, _ := strings.Cut(network, "/")
			var length int
			_, _ = fmt.Sscan(bits, &length)
			if !strings.Contains(base, ":") {
				length += 96
			}
			shift := uint(128 - length)
			if new(big.Int).Rsh(number, shift).Cmp(new(big.Int).Rsh(numberOf(base), shift)) == 0 {
				inside = true
			}
		}
		if !inside || i == 0 {
			return net.IP(number.FillBytes(make([]byte, 16))).String()
		}
	}
	return ""
}

var withPort = regexp.MustCompile(`^(?:\[([0-9a-f:.%a-z0-9]+)\]|([0-9.]+)):([0-9]+)$`)

// numberOf is an address as 128 bits, IPv4 as ::ffff:0:0/96; nil for anything else.
func numberOf(text string) *big.Int {
	if m := withPort.FindStringSubmatch(text); m != nil {
		var port int
		if _, err := fmt.Sscan(m[3], &port); err != nil || port > 65535 {
			return nil
		}
		text = m[1] + m[2]
	}
	text, _, _ = strings.Cut(text, "%")
	ip := net.ParseIP(text)
	if ip == nil {
		return nil
	}
	return new(big.Int).SetBytes(ip.To16())
}

// Ten thousand chains, of addresses and of what is none, get the oracle's answer.
func TestClientOfAgainstOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	address := func() string {
		return pick("10.0.0.1", "10.255.3.4", "11.0.0.1", "192.168.1.1", "192.168.2.1", "198.51.100.7", "203.0.113.9", "127.0.0.1",
			"::1", "fd00::1", "fd12:3456::9", "fe00::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:198.51.100.7", "fd00::1%eth0", "fe80::1%eth0")
	}
	hop := func() string {
		a := address()
		if random.IntN(6) == 0 {
			if a += ":" + pick("1", "80", "65535", "65536"); strings.Count(a, ":") > 1 {
				i := strings.LastIndexByte(a, ':')
				a = "[" + a[:i] + "]" + a[i:]
			}
		}
		if random.IntN(12) == 0 {
			a = pick("", "unknown", "garbage", "1.2.3", "1.2.3.4.5", "010.0.0.1", "10.0.0.1/8", "_hidden", "10.0.0.1;", "\"10.0.0.1\"", "[fd00::1]", "fd00::1::2")
		}
		return pick("", "", " ", "\t", "  ") + a + pick("", "", " ", "\t ")
	}
	known := 0
	for range 10_000 {
		var trusted []string
		for range random.IntN(4) {
			trusted = append(trusted, pick("10.0.0.0/8", "192.168.1.0/24", "203.0.113.9/32", "fd00::/8", "::1/128", "::ffff:10.0.0.0/104", "0.0.0.0/0", "2001:db8::/32"))
		}
		var lines []string
		for range random.IntN(4) {
			var hops []string
			for range 1 + random.IntN(4) {
				hops = append(hops, hop())
			}
			lines = append(lines, strings.Join(hops, ","))
		}
		remote := address() + ":4711"
		if strings.Count(remote, ":") > 1 {
			remote = "[" + strings.TrimSuffix(remote, ":4711") + "]:4711"
		}
		want := oracle(remote, lines, trusted)
		got, ok := guard.ClientOf(remote, lines, networksOf(trusted...))
		if ok {
			known++
		}
		if ok != (want != "") || (ok && got.String() != want) {
			t.Fatalf("peer %q, lines %q, trusted %q: %v, %v, want %q", remote, lines, trusted, got, ok, want)
		}
	}
	if known < 2_000 || known > 9_800 {
		t.Errorf("%d of 10,000 clients are known: the chains are too much alike", known)
	}
}

func TestParseNetworks(t *testing.T) {
	networks, ok := guard.ParseNetworks("198.51.100.7, 10.0.0.0/8 ,2001:db8::/32 ::1")
	if !ok || len(networks) != 4 || !guard.InNetworks(netip.MustParseAddr("198.51.100.7"), networks) || guard.InNetworks(netip.MustParseAddr("198.51.100.8"), networks) ||
		!guard.InNetworks(netip.MustParseAddr("::ffff:10.9.9.9"), networks) {
		t.Errorf("%v, %v", networks, ok)
	}
	for _, text := range []string{"garbage", "10.0.0.0/33", "10.0.0.1,x", "fe80::1%eth0"} {
		if networks, ok := guard.ParseNetworks(text); ok {
			t.Errorf("%q is read as %v", text, networks)
		}
	}
	if networks, ok := guard.ParseNetworks(" , "); !ok || len(networks) != 0 {
		t.Errorf("nothing is read as %v, %v", networks, ok)
	}
}

// Nothing in a header panics or makes an untrusted peer somebody else.
func FuzzClientOf(f *testing.F) {
	f.Add("203.0.113.9:1", "198.51.100.1, 10.0.0.1")
	f.Add("10.0.0.1:1", ",,,")
	f.Add("", "::ffff:1.2.3.4%x")
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		alone, known := guard.ClientOf(remote, nil, nil)
		got, ok := guard.ClientOf(remote, []string{forwarded}, networksOf("10.0.0.0/8"))
		if known && !guard.InNetworks(alone, networksOf("10.0.0.0/8")) && (!ok || got != alone) {
			t.Errorf("the header %q makes %v of %v", forwarded, got, alone)
		}
		if ok && (got.Zone() != "" || got.Is4In6()) {
			t.Errorf("%v is not in its plain form", got)
		}
	})
}
