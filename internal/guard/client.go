package guard

import (
	"net/netip"
	"strings"
)

// ClientOf returns the address of the client of a request that came through proxies, or false if nobody can tell it.
//
// remote is the connection's peer, with its port. Only if that is in trusted is
// forwarded looked at: the lines of X-Forwarded-For, in their order. Each proxy adds
// the address of its own peer at the right end, so they are read from there, and the first
// one that is not in trusted is the client; whatever stands to its left was written by
// anybody. What is no address where one is needed makes the client unknown. If all are
// trusted the client is the leftmost one. Zones are left out, and IPv4 addresses that
// are written as IPv6 are IPv4 addresses.
func ClientOf(remote string, forwarded []string, trusted []netip.Prefix) (netip.Addr, bool) {
	client, ok := parse(remote)
	if !ok {
		return netip.Addr{}, false
	}
	chain := strings.Join(forwarded, ",")
	for more := len(forwarded) > 0; more && InNetworks(client, trusted); {
		var hop string
		if i := strings.LastIndexByte(chain, ','); i >= 0 {
			hop, chain = chain[i+1:], chain[:i]
		} else {
			hop, more = chain, false
		}
		if client, ok = parse(strings.Trim(hop, " \t")); !ok {
			return netip.Addr{}, false
		}
	}
	return client, true
}

// parse reads an address, with or without a port, in brackets if it is IPv6 and has one.
func parse(text string) (netip.Addr, bool) {
	withPort, err := netip.ParseAddrPort(text) // the usual case first: a peer
	addr := withPort.Addr()
	if err != nil {
		if addr, err = netip.ParseAddr(text); err != nil {
			return netip.Addr{}, false
		}
	}
	return addr.Unmap().WithZone(""), true
}

// InNetworks says whether addr is in one of the networks. Networks of IPv4 addresses that are
// written as IPv6 count as what they are.
func InNetworks(addr netip.Addr, networks []netip.Prefix) bool {
	addr = addr.Unmap().WithZone("")
	for _, n := range networks {
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// ParseNetworks reads networks and single addresses, separated by commas or spaces.
func ParseNetworks(text string) (networks []netip.Prefix, ok bool) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := netip.ParsePrefix(part)
		if err != nil {
			addr, err := netip.ParseAddr(part)
			if err != nil || addr.Zone() != "" {
				return nil, false
			}
			network = netip.PrefixFrom(addr, addr.BitLen())
		}
		networks = append(networks, network)
	}
	return networks, true
}
