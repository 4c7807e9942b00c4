package enlace_test

import (
	"github.com/enlace-go/enlace"
)

var codeScheme = enlace.OAuth2{AuthURL: "{origin}/oauth/authorize", TokenURL: "{origin}/oauth/token", Scopes: []string{"crm", "user"},
	PKCE: true, Attributes: []string{"portal"}}

// withApp registers the host's app at the provider.
func withApp(c *enlace.Config) {
	c.OAuth = map[string]enlace.OAuthApp{"crm": {ClientID: "app-id", ClientSecret: enlace.NewSecret("app-" + canary)}}
}
