package guard_test

import (
	"fmt"
	"net/netip"
	"net/url"

	"github.com/enlace-go/enlace/internal/guard"
)

func ExampleCheckURL() {
	u, _ := url.Parse("http://10.0.0.7/rest/1/secret/")
	fmt.Println(guard.CheckURL(guard.Policy{}, u))
	fmt.Println(guard.CheckURL(guard.Policy{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}, u))
	// Output:
	// address not allowed: it is a private address; the host can allow its prefix
	// <nil>
}
