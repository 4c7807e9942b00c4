// Package env reads what a twelve-factor host is given in environment variables:
// the root keys, the apps registered with providers, and the credential of one
// account for each provider. It only reads.
//
// # Variables
//
// A secret of a provider is ENLACE_<PROVIDER>_<FIELD>: the provider's registry
// name and the field's name of its [enlace.AuthScheme], in capitals, with
// underscores between words. ENLACE_BITRIX24_URL is the secret "url" of Bitrix24.
// Beside these there are
//
//   - ENLACE_KEY, the root key, and ENLACE_KEYS_RETIRING, former ones that still
//     open, separated by commas: see [Source.Keys]
//   - ENLACE_<PROVIDER>_CLIENT_ID and _CLIENT_SECRET, the app registered for the
//     OAuth 2.0 code flow: see [Source.OAuth]
//   - ENLACE_<PROVIDER>_WEBHOOK_SECRETS, what signs the provider's webhooks, newest
//     first, separated by commas
//   - ENLACE_<PROVIDER>_SCHEME, which auth scheme to use where the other
//     variables would fit several
//
// [Source.Example] writes them all down as an .env file.
//
// White space around a value is dropped, since files and shells add line ends. An
// empty variable counts as unset. A value in quotes is refused: some readers of
// .env files drop quotes and some do not, and a secret with quotes around it
// fails much later and elsewhere. No error holds a value.
//
// # Why this is not a store
//
// A [enlace.CredentialStore] keeps sealed values by the integration's id, and a
// variable is plain and belongs to a provider. So the host connects its
// integration with the variable's credential at each start, as the example of
// [Source.Credential] does: [enlace.Service.Connect] checks it, binds it to the
// account's host and seals it. A variable that has changed is in force from
// then on. With store/memory as [enlace.Config].Credentials nothing of it is
// written anywhere.
//
// The tokens of the code flow change with each refresh, and the old ones are void.
// They need a store that lasts, such as store/file: no environment can keep them.
package env

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/enlace-go/enlace"
)

// maxValue bounds one value, in bytes.
const maxValue = 64 << 10

// Source is where variables are looked up. The zero value reads the process's
// environment, each time anew.
type Source struct {
	// Prefix begins every name. Defaults to "ENLACE".
	Prefix string
	// Lookup finds a variable's value, as os.LookupEnv does, which is the default.
	Lookup func(name string) (value string, set bool)
}

// Keys returns the keyring of ENLACE_KEY, which seals, and ENLACE_KEYS_RETIRING,
// which only open. It returns an [*enlace.ValidationError] that names the
// variables if the key is missing, or a key is none or is there twice.
func (s Source) Keys() (*enlace.Keyring, error) {
	r := s.reader()
	primary, retiring := r.name("KEY"), r.name("KEYS_RETIRING")
	var keys []enlace.Key
	parse := func(variable, text string) {
		key, err := enlace.ParseKey(enlace.NewSecret(text))
		switch {
		case err != nil:
			r.fault(variable, "not a root key", "32 random bytes as base64 or hex, as openssl rand -base64 32 makes them")
		case slices.ContainsFunc(keys, func(k enlace.Key) bool { return k.ID() == key.ID() }):
			r.fault(variable, "a key that is there already", "different keys")
		}
		keys = append(keys, key)
	}
	if text := r.read(primary); text != "" {
		parse(primary, text)
	} else if len(r.faults) == 0 {
		r.fault(primary, "missing", "32 random bytes as base64 or hex, as openssl rand -base64 32 makes them")
	}
	for _, text := range r.list(retiring) {
		parse(retiring, text)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return enlace.NewKeyring(keys[0], keys[1:]...)
}

// OAuth returns the registered apps, for [enlace.Config].OAuth: those of the
// adapters with the code flow whose CLIENT_ID and CLIENT_SECRET are set. It
// returns an [*enlace.ValidationError] with the names of all variables that are
// missing beside another.
func (s Source) OAuth(registry *enlace.Registry) (map[string]enlace.OAuthApp, error) {
	r := s.reader()
	apps := map[string]enlace.OAuthApp{}
	for provider, adapter := range registry.All() {
		if !slices.ContainsFunc(adapter.Describe().Auth, isCodeFlow) {
			continue
		}
		idName, secretName := r.name(provider, "client_id"), r.name(provider, "client_secret")
		id, secret := r.read(idName), r.read(secretName)
		switch {
		case id == "" && secret != "":
			r.fault(idName, "missing", "the client id that belongs to "+secretName)
		case id != "" && secret == "":
			r.fault(secretName, "missing", "the secret that belongs to "+idName)
		case id != "":
			apps[provider] = enlace.OAuthApp{ClientID: id, ClientSecret: enlace.NewSecret(secret)}
		}
	}
	return apps, r.err()
}

// reader looks variables up and collects what is wrong with them.
type reader struct {
	prefix string
	lookup func(string) (string, bool)
	faults []enlace.Fault
}

func (s Source) reader() *reader {
	r := &reader{prefix: cmp.Or(s.Prefix, "ENLACE"), lookup: s.Lookup}
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	return r
}

// name is the variable for the parts: names in any spelling.
func (r *reader) name(parts ...string) string {
	name := r.prefix
	for _, part := range parts {
		name += "_" + capitals(part)
	}
	return name
}

// capitals writes "authServer", "auth-server" and "auth_server" as AUTH_SERVER.
func capitals(s string) string {
	var b strings.Builder
	wordEnded := false
	for _, c := range s {
		if unicode.IsUpper(c) && wordEnded {
			b.WriteByte('_')
		}
		wordEnded = unicode.IsLower(c) || unicode.IsDigit(c)
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			c = '_'
		}
		b.WriteRune(unicode.ToUpper(c))
	}
	return b.String()
}

// read returns a variable's value, empty if it is unset or refused.
func (r *reader) read(variable string) string {
	value, _ := r.lookup(variable)
	value = strings.TrimSpace(value)
	switch {
	case len(value) > maxValue:
		r.fault(variable, "too long", "at most 64 KiB")
		return ""
	case len(value) >= 2 && value[0] == value[len(value)-1] && strings.ContainsRune(`"'`, rune(value[0])):
		r.fault(variable, "in quotes", "the bare value")
		return ""
	}
	return value
}

// list returns the parts of a value between commas, without the empty ones.
func (r *reader) list(variable string) []string {
	var parts []string
	for part := range strings.SplitSeq(r.read(variable), ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func (r *reader) fault(variable, problem, allowed string) {
	r.faults = append(r.faults, enlace.Fault{Field: variable, Problem: problem, Allowed: allowed})
}

func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return &enlace.ValidationError{Faults: r.faults}
}
