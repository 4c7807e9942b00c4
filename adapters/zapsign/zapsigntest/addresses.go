package zapsigntest

import (
	"net/http"
	"net/url"
	"strings"
)

// realAddresses are those of the provider (sheet 1.1).
var realAddresses = Addresses{
	Sandbox: "https://sandbox.api.zapsign.com.br", Production: "https://api.zapsign.com.br", BrazilProduction: "https://br.api.zapsign.com.br",
	SandboxApp: "https://sandbox.app.zapsign.com.br", ProductionApp: "https://app.zapsign.com.br", Files: "https://zapsign.s3.amazonaws.com",
}

// SetAddresses sets the addresses of the server, which stand in its answers. Empty fields get the
// provider's. It panics if one is no address.
func (a *API) SetAddresses(addresses Addresses) {
	set := func(target *string, otherwise string) {
		*target = strings.TrimRight(orDefault(*target, otherwise), "/")
		if u, err := url.Parse(*target); err != nil || u.Host == "" || u.Path != "" {
			panic("zapsigntest: " + *target + " is no address of a host, such as https://api.zapsign.com.br")
		}
	}
	set(&addresses.Sandbox, realAddresses.Sandbox)
	set(&addresses.Production, realAddresses.Production)
	set(&addresses.BrazilProduction, realAddresses.BrazilProduction)
	set(&addresses.SandboxApp, realAddresses.SandboxApp)
	set(&addresses.ProductionApp, realAddresses.ProductionApp)
	set(&addresses.Files, realAddresses.Files)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses = addresses
}

// Addresses returns the addresses of the server, all of them filled in.
func (a *API) Addresses() Addresses {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addresses
}

// Hosts that a request can be for.
const (
	sandboxHost = iota + 1
	productionHost
	filesHost
)

// hostOf tells which host a request is for, and whether its address is secure. A host that is
// none of ours is taken for the API of the first account.
func (a *API) hostOf(r *http.Request) (host int, secure bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range []struct {
		address string
		host    int
	}{
		{a.addresses.Files, filesHost}, {a.addresses.Sandbox, sandboxHost}, {a.addresses.Production, productionHost},
		{a.addresses.BrazilProduction, productionHost}, {a.addresses.SandboxApp, sandboxHost}, {a.addresses.ProductionApp, productionHost},
	} {
		if scheme, name, _ := strings.Cut(known.address, "://"); strings.EqualFold(name, r.Host) {
			return known.host, scheme == "https"
		}
	}
	if a.accounts[0].Production {
		return productionHost, false
	}
	return sandboxHost, false
}

// app returns the base of the account's signature screens.
func (a *API) app(acc *account) string {
	if acc.Production {
		return a.addresses.ProductionApp
	}
	return a.addresses.SandboxApp
}
