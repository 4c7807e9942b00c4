package env

import (
	"fmt"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// Example writes an .env file with every variable of the adapters, commented out
// and explained; only the root key stands there to be filled in. It looks
// nothing up.
func (s Source) Example(registry *enlace.Registry) string {
	r := s.reader()
	var b strings.Builder
	fmt.Fprintf(&b, `# Secrets of enlace. Copy this file to .env, keep the copy out of version control,
# and fill in what you need. An empty variable counts as unset; write values without quotes.

# The key that seals what is stored: 32 random bytes as base64 or hex.
# Make one with: openssl rand -base64 32
%s=

# Former keys that still open what they have sealed, separated by commas.
# %s=
`, r.name("KEY"), r.name("KEYS_RETIRING"))
	for _, adapter := range registry.All() {
		r.describeProvider(&b, adapter)
	}
	return b.String()
}

// describeProvider writes the variables of one adapter.
func (r *reader) describeProvider(b *strings.Builder, adapter enlace.IntegrationAdapter) {
	d := adapter.Describe()
	fmt.Fprintf(b, "\n# ==== %s ====\n", oneLine(d.Title, d.DocsURL))
	direct := 0
	for _, scheme := range d.Auth {
		if isCodeFlow(scheme) {
			continue
		}
		if direct++; direct > 1 {
			b.WriteString("\n# Or:\n")
		}
		for _, f := range r.way(d.Name, scheme).fields {
			fmt.Fprintf(b, "# %s\n# %s=\n", describe(f.SecretField), f.variable)
		}
	}
	if direct > 1 {
		fmt.Fprintf(b, "\n# Which of these ways is meant, if variables of several are set.\n# %s=\n", r.name(d.Name, "scheme"))
	}
	if slices.ContainsFunc(d.Auth, isCodeFlow) {
		fmt.Fprintf(b, "\n# The app registered with the provider, for accounts that people connect through OAuth.\n# %s=\n# %s=\n",
			r.name(d.Name, "client_id"), r.name(d.Name, "client_secret"))
	}
	if enlace.CapabilitiesOf(adapter).Has(enlace.CanReceiveWebhooks) {
		fmt.Fprintf(b, "\n# What signs the provider's webhooks, newest first, separated by commas.\n# %s=\n",
			r.name(d.Name, "webhook_secrets"))
	}
}

// oneLine keeps an adapter's words inside of their comment.
func oneLine(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}
