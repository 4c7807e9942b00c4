package guard_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/guard"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestCheckURLByAddress(t *testing.T) {
	lan := guard.Policy{AllowPrefixes: prefixes("10.1.0.0/16", "fd00::/8", "::ffff:192.168.7.0/120")}
	for _, c := range []struct {
		url    string
		policy guard.Policy
		reason string // empty: allowed
	}{
		{"https://1.1.1.1/", guard.Policy{}, ""},
		{"https://1.1.1.1:80/", guard.Policy{}, ""},
		{"https://[2606:4700::1111]/", guard.Policy{}, ""},
		{"https://[::ffff:1.1.1.1]/", guard.Policy{}, ""},
		{"https://example.com/", guard.Policy{}, ""},

		{"https://127.0.0.1/", guard.Policy{}, "loopback"},
		{"https://127.255.255.254/", guard.Policy{}, "loopback"},
		{"https://[::1]/", guard.Policy{}, "loopback"},
		{"https://localhost/", guard.Policy{}, "loopback"},
		{"https://LOCALHOST./", guard.Policy{}, "loopback"},
		{"https://10.0.0.1/", guard.Policy{}, "private"},
		{"https://172.16.0.1/", guard.Policy{}, "private"},
		{"https://192.168.1.1/", guard.Policy{}, "private"},
		{"https://[fc00::1]/", guard.Policy{}, "private"},
		{"https://[::ffff:10.0.0.1]/", guard.Policy{}, "private"},
		{"https://169.254.169.254/", guard.Policy{}, "link-local"},
		{"https://[::ffff:169.254.169.254]/", guard.Policy{}, "link-local"},
		{"https://[fe80::1]/", guard.Policy{}, "link-local"},
		{"https://[fe80::1%25eth0]/", guard.Policy{}, "link-local"},
		{"https://0.0.0.0/", guard.Policy{}, "unspecified"},
		{"https://[::]/", guard.Policy{}, "unspecified"},
		{"https://0.1.2.3/", guard.Policy{}, "special-purpose"},
		{"https://100.64.0.1/", guard.Policy{}, "special-purpose"},
		{"https://192.0.0.1/", guard.Policy{}, "special-purpose"},
		{"https://192.0.2.1/", guard.Policy{}, "special-purpose"},
		{"https://198.18.0.1/", guard.Policy{}, "special-purpose"},
		{"https://198.51.100.1/", guard.Policy{}, "special-purpose"},
		{"https://203.0.113.1/", guard.Policy{}, "special-purpose"},
		{"https://240.0.0.1/", guard.Policy{}, "special-purpose"},
		{"https://255.255.255.255/", guard.Policy{}, "special-purpose"},
		{"https://224.0.0.1/", guard.Policy{}, "multicast"},
		{"https://[ff02::1]/", guard.Policy{}, "multicast"},
		{"https://[64:ff9b::7f00:1]/", guard.Policy{}, "NAT64"},
		{"https://[64:ff9b::808:808]/", guard.Policy{}, "NAT64"},
		{"https://[2001:db8::1]/", guard.Policy{}, "special-purpose"},
		{"https://[2002:7f00:1::1]/", guard.Policy{}, "special-purpose"}, // 6to4 of 127.0.0.1
		{"https://[2001::1]/", guard.Policy{}, "special-purpose"},        // Teredo
		{"https://[::127.0.0.1]/", guard.Policy{}, "special-purpose"},

		{"https://10.1.2.3/", lan, ""},
		{"https://[::ffff:10.1.2.3]:8443/", lan, ""},
		{"http://10.1.2.3:8080/", lan, ""},
		{"http://[fd12::1%25eth0]/", lan, ""},
		{"http://192.168.7.9/", lan, ""},
		{"http://192.168.8.9/", lan, "private"},
		{"https://10.2.0.1/", lan, "private"},
		{"https://127.0.0.1/", lan, "loopback"},
		{"http://localhost:1234/", guard.Policy{AllowPrefixes: prefixes("127.0.0.0/8")}, ""},
		{"http://localhost:1234/", guard.Policy{AllowPrefixes: prefixes("::1/128")}, ""},
		{"http://localhost/", lan, "loopback"},

		{"http://1.1.1.1/", guard.Policy{}, "plain http"},
		{"http://example.com/", lan, "plain http"},
		{"https://1.1.1.1:22/", guard.Policy{}, "port 22"},
		{"https://1.1.1.1:443/", guard.Policy{AllowPorts: []uint16{8443}}, "port 443"},
		{"https://1.1.1.1:8443/", guard.Policy{AllowPorts: []uint16{8443}}, ""},
		{"https://1.1.1.1:443/", guard.Policy{AllowPorts: []uint16{}}, "port 443"},
		{"https://example.com:0/", guard.Policy{}, "port"},
		{"https://example.com:65536/", guard.Policy{}, "port"},
		{"https://user:pass@example.com/", guard.Policy{}, "user information"},
		{"ftp://example.com/", guard.Policy{}, "scheme"},
		{"file:///etc/passwd", guard.Policy{}, "host"},
		{"https:example.com", guard.Policy{}, "host"},
		{"https://:443/", guard.Policy{}, "host"},
		{"/path", guard.Policy{}, "host"},
		{"", guard.Policy{}, "host"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		u = u.JoinPath("canary")
		u.RawQuery = "q=canary"
		err = guard.CheckURL(c.policy, u)
		switch {
		case c.reason == "":
			if err != nil {
				t.Errorf("%s: %v, want it allowed", c.url, err)
			}
		case !errors.Is(err, guard.ErrBlocked) || !strings.Contains(err.Error(), c.reason):
			t.Errorf("%s: %v, want ErrBlocked for %q", c.url, err, c.reason)
		case strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "pass"):
			t.Errorf("%s: the error quotes the URL: %v", c.url, err)
		}
	}
	if err := guard.CheckURL(guard.Policy{}, nil); !errors.Is(err, guard.ErrBlocked) {
		t.Errorf("no URL: %v", err)
	}
}

var loopback = prefixes("127.0.0.0/8", "::1/128")

func get(t *testing.T, base http.RoundTripper, address string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: base}).Do(request)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

func newTransport(t *testing.T, p guard.Policy) *http.Transport {
	base := guard.Transport(p)
	t.Cleanup(base.CloseIdleConnections)
	return base
}

func TestTransportChecksWhatANameResolvesTo(t *testing.T) {
	hits := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

	for _, scheme := range []string{"http", "https"} {
		for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]"} {
			_, err := get(t, newTransport(t, guard.Policy{}), scheme+"://"+host+":"+port)
			blocked, ok := errors.AsType[*guard.BlockedError](err)
			if !ok || !strings.Contains(blocked.Reason, "loopback") {
				t.Errorf("%s://%s: %v, want it blocked as loopback", scheme, host, err)
			}
		}
	}
	if hits != 0 {
		t.Fatalf("the server was reached %d times", hits)
	}
	if _, err := get(t, newTransport(t, guard.Policy{AllowPrefixes: loopback}), "http://localhost:"+port); err != nil {
		t.Fatalf("allowed by prefix: %v", err)
	}
	if hits != 1 {
		t.Fatalf("the server was reached %d times", hits)
	}
}

func TestTransportChecksRedirects(t *testing.T) {
	// The first server is at an allowed address, the second one is not.
	inner := httptest.NewUnstartedServer(http.NotFoundHandler())
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	inner.Listener.Close()
	inner.Listener = listener
	inner.Start()
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusFound))
	defer outer.Close()

	_, err = get(t, newTransport(t, guard.Policy{AllowPrefixes: prefixes("127.0.0.1/32")}), outer.URL)
	if !errors.Is(err, guard.ErrBlocked) {
		t.Fatalf("redirect to a private address: %v", err)
	}
}

func TestTransportPolicyIsCopied(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	policy := guard.Policy{AllowPrefixes: prefixes("127.0.0.0/8")}
	base := newTransport(t, policy)
	policy.AllowPrefixes[0] = netip.MustParsePrefix("10.0.0.0/8")
	if _, err := get(t, base, server.URL); err != nil {
		t.Fatal(err)
	}
}

func TestTransportSpeaksTLSAndHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	base := newTransport(t, guard.Policy{AllowPrefixes: loopback})
	_, err := get(t, base, server.URL)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Fatalf("unknown authority: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	base = newTransport(t, guard.Policy{AllowPrefixes: loopback})
	base.TLSClientConfig.RootCAs = pool
	response, err := get(t, base, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if response.ProtoMajor != 2 {
		t.Errorf("protocol %s, want HTTP/2", response.Proto)
	}
	// A clone of the transport is as strict.
	blocked := guard.Transport(guard.Policy{}).Clone()
	for _, address := range []string{server.URL, "http://" + server.Listener.Addr().String()} {
		if _, err := get(t, blocked, address); !errors.Is(err, guard.ErrBlocked) {
			t.Errorf("clone, %s: %v", address, err)
		}
	}
}

func TestTransportUsesNoProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	if guard.Transport(guard.Policy{}).Proxy != nil {
		t.Fatal("a proxy would be the only address checked")
	}
}

func TestTransportPlainHTTPStaysPrivate(t *testing.T) {
	// The dialer of plain http refuses a public address before any packet leaves.
	base := newTransport(t, guard.Policy{AllowPrefixes: loopback})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := base.DialContext(ctx, "tcp", "1.1.1.1:80"); !errors.Is(err, guard.ErrBlocked) {
		t.Fatalf("plain http to a public address: %v", err)
	}
	if _, err := base.DialTLSContext(ctx, "tcp", "1.1.1.1:22"); !errors.Is(err, guard.ErrBlocked) {
		t.Fatalf("port 22: %v", err)
	}
}
