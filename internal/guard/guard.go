// Package guard keeps requests to addresses that users supply away from networks
// that are none of their business: a base URL in a settings form must not become
// a way to the host's own machines (server-side request forgery).
//
// The address is checked when it is dialled, after the name was resolved, for
// every connection: a name that resolves to something else the second time and a
// redirect to another host meet the same check.
//
// It also tells from which address a request comes that proxies have passed on.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	idleTimeout      = 90 * time.Second
	idlePerHost      = 32
	idleTotal        = 1024
	headerTimeout    = 10 * time.Second
	maxHeaderBytes   = 256 << 10
)

// ErrBlocked: the address is one that the policy does not let be called. It comes
// as a *BlockedError.
var ErrBlocked = errors.New("address not allowed")

// BlockedError says why. It names the class of the address and what the host of
// the library can do, but neither the address that a name resolved to nor a part
// of the URL, so it may be shown to whoever gave the URL. It matches ErrBlocked.
type BlockedError struct{ Reason string }

func (e *BlockedError) Error() string { return ErrBlocked.Error() + ": " + e.Reason }

// Is makes errors.Is(err, ErrBlocked) true.
func (e *BlockedError) Is(target error) bool { return target == ErrBlocked }

func blocked(reason string) error { return &BlockedError{Reason: reason} }

// Policy says which addresses may be called. The zero value is the strictest:
// https to public addresses on the ports 80 and 443.
type Policy struct {
	// AllowPrefixes are networks that may be called although they are not public,
	// on any port and by plain http too.
	AllowPrefixes []netip.Prefix
	// AllowPorts are the ports that may be called at public addresses; nil is 80 and 443.
	AllowPorts []uint16
	// HeaderTimeout is how long an answer's header may take once the request is
	// written: 0 is 10 s, negative leaves it to the request's own deadline.
	HeaderTimeout time.Duration
}

// Transport returns a new transport that dials only what the policy allows. It
// uses no proxy, since then the proxy's address would be the only one checked.
// What it refuses is an error that matches ErrBlocked. The policy is copied.
func Transport(p Policy) *http.Transport {
	p = p.normal()
	t := &http.Transport{
		DialContext:            p.dialer(true).DialContext, // plain http
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  max(p.HeaderTimeout, 0),
		MaxResponseHeaderBytes: maxHeaderBytes,
		// A dead HTTP/2 connection would otherwise fail every request until its own time-out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	// Two dialers, because plain http has the narrower rule and the dialer is not
	// told the scheme. net/http pools by scheme, so that a connection made under
	// one rule is never used under the other.
	secure := p.dialer(false)
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialTLS(ctx, secure, t.TLSClientConfig, network, address)
	}
	return t
}

func dialTLS(ctx context.Context, d *net.Dialer, config *tls.Config, network, address string) (net.Conn, error) {
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

func (p Policy) dialer(plain bool) *net.Dialer {
	return &net.Dialer{
		Timeout: dialTimeout,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || (network != "tcp4" && network != "tcp6") {
				return blocked("not a TCP address")
			}
			return p.check(to, plain)
		},
	}
}

// CheckURL finds what is wrong with a URL before anything is dialled: a scheme
// other than https, user information, an address that is written out and not
// allowed. Plain http is accepted for localhost and for written-out addresses
// within AllowPrefixes. A name is not resolved here; the transport checks what it
// resolves to. The error matches ErrBlocked.
func CheckURL(p Policy, u *url.URL) error {
	if u == nil || u.Hostname() == "" || u.Opaque != "" {
		return blocked("the URL has no host")
	}
	if u.User != nil {
		return blocked("the URL holds user information; credentials belong in the integration's credential")
	}
	plain := u.Scheme == "http"
	if !plain && u.Scheme != "https" {
		return blocked("the scheme is not https")
	}
	port, err := urlPort(u)
	if err != nil {
		return err
	}
	p = p.normal()
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" {
		// Resolvers give either, so one that is allowed is enough here.
		if err := p.check(netip.AddrPortFrom(netip.IPv6Loopback(), port), plain); err == nil {
			return nil
		}
		return p.check(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), plain)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return p.check(netip.AddrPortFrom(address, port), plain)
	}
	if plain {
		return blocked("plain http to a host name; use https")
	}
	return nil
}

func urlPort(u *url.URL) (uint16, error) {
	switch {
	case u.Port() != "":
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || port == 0 {
			return 0, blocked("the port is not a number from 1 to 65535")
		}
		return uint16(port), nil
	case u.Scheme == "http":
		return 80, nil
	default:
		return 443, nil
	}
}

// check is the one rule: p is normal, plain says that no TLS is used.
func (p Policy) check(to netip.AddrPort, plain bool) error {
	address := normalAddr(to.Addr())
	for _, allowed := range p.AllowPrefixes {
		if allowed.Contains(address) {
			return nil
		}
	}
	if class := special(address); class != "" {
		return blocked("it is " + class + "; the host can allow its prefix")
	}
	if plain {
		return blocked("plain http to a public address; use https, or the host can allow its prefix")
	}
	if !slices.Contains(p.AllowPorts, to.Port()) {
		return blocked(fmt.Sprintf("port %d of a public address; the host can allow the port", to.Port()))
	}
	return nil
}

// special is the class of an address that is not on the public internet, with its
// article, and empty for a public one. What is special-purpose is IANA's list.
func special(address netip.Addr) string {
	denied := ssrf.IPv4DeniedPrefixes
	if address.Is6() {
		denied = ssrf.IPv6DeniedPrefixes
	}
	public := address.IsValid() && (address.Is4() || ssrf.IPv6GlobalUnicast.Contains(address)) &&
		!slices.ContainsFunc(denied, func(p netip.Prefix) bool { return p.Contains(address) })
	switch {
	case public:
		return ""
	case address.IsUnspecified():
		return "an unspecified address"
	case address.IsLoopback():
		return "a loopback address"
	case address.IsPrivate():
		return "a private address"
	case address.IsLinkLocalUnicast():
		return "a link-local address"
	case address.IsMulticast():
		return "a multicast address"
	case ssrf.IPv6NAT64Prefix.Contains(address):
		return "a NAT64 address"
	default:
		return "a special-purpose address"
	}
}

// normalAddr makes different spellings of one address equal: no netip.Prefix
// contains an address that is mapped into IPv6 or has a zone.
func normalAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// normal is an independent copy of p, with its defaults, that check understands.
func (p Policy) normal() Policy {
	prefixes := make([]netip.Prefix, 0, len(p.AllowPrefixes))
	for _, prefix := range p.AllowPrefixes {
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		prefixes = append(prefixes, prefix)
	}
	p.AllowPrefixes = prefixes
	p.AllowPorts = slices.Clone(p.AllowPorts)
	if p.AllowPorts == nil {
		p.AllowPorts = []uint16{80, 443}
	}
	if p.HeaderTimeout == 0 {
		p.HeaderTimeout = headerTimeout
	}
	return p
}
