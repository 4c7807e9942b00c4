package env_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/env"
)

var update = flag.Bool("update", false, "write the golden files anew")

// given is a source with these variables only.
func given(variables map[string]string) env.Source {
	return env.Source{Lookup: func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}}
}

// several has every kind of scheme, under names that try the spelling.
var several = enlace.Descriptor{Name: "several_ways", Title: "Several\nways", DocsURL: "https://docs.example", Auth: []enlace.AuthScheme{
	enlace.OAuth2{},
	enlace.APIKey{Title: "API key", Place: enlace.BearerHeader()},
	enlace.Basic{},
	enlace.ClientCredentials{},
	enlace.CustomAuth{Name: "pair", Fields: []enlace.SecretField{
		{Name: "api_key", Label: "API key", Required: true},
		{Name: "signingKey", Label: "Signing key", Help: "Only for\nsigned calls.", Required: true},
		{Name: "sub-account", Label: "Sub-account"},
	}},
	enlace.CustomAuth{Name: "loose", Fields: []enlace.SecretField{{Name: "hint", Label: "Hint"}}},
}}

// adapter gives a descriptor an adapter that takes webhooks.
type adapter struct {
	enlace.WebhookReceiver
	enlace.Authenticator
	d enlace.Descriptor
}

func (a adapter) Describe() enlace.Descriptor { return a.d }

func reveal(c enlace.Credential) map[string]string {
	secrets := map[string]string{}
	for name, s := range c.Secrets {
		secrets[name] = s.Reveal()
	}
	return secrets
}

func TestCredential(t *testing.T) {
	for name, c := range map[string]struct {
		variables map[string]string
		scheme    string
		secrets   map[string]string
	}{
		"one field":    {map[string]string{"API_KEY": "k"}, "api_key", map[string]string{"api_key": "k"}},
		"two fields":   {map[string]string{"USERNAME": "u", "PASSWORD": "p"}, "basic", map[string]string{"username": "u", "password": "p"}},
		"client":       {map[string]string{"CLIENT_ID": "i", "CLIENT_SECRET": "s"}, "client_credentials", map[string]string{"client_id": "i", "client_secret": "s"}},
		"more fields":  {map[string]string{"API_KEY": "k", "SIGNING_KEY": "s"}, "pair", map[string]string{"api_key": "k", "signingKey": "s"}},
		"optional":     {map[string]string{"API_KEY": "k", "SIGNING_KEY": "s", "SUB_ACCOUNT": "a"}, "pair", map[string]string{"api_key": "k", "signingKey": "s", "sub-account": "a"}},
		"all optional": {map[string]string{"HINT": "h"}, "loose", map[string]string{"hint": "h"}},
		"white space":  {map[string]string{"API_KEY": "\t k k \r\n"}, "api_key", map[string]string{"api_key": "k k"}},
		"empty":        {map[string]string{"API_KEY": "k", "USERNAME": " ", "PASSWORD": ""}, "api_key", map[string]string{"api_key": "k"}},
		"quotes":       {map[string]string{"API_KEY": `"k`}, "api_key", map[string]string{"api_key": `"k`}},
		"named": {map[string]string{"SCHEME": "basic", "API_KEY": "k", "USERNAME": "u", "PASSWORD": "p"}, "basic",
			map[string]string{"username": "u", "password": "p"}},
	} {
		got, err := given(prefixed(c.variables)).Credential(several)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.secrets, reveal(got)); got.Scheme != c.scheme || diff != "" {
			t.Errorf("%s: scheme %q, want %q; secrets (-want +got):\n%s", name, got.Scheme, c.scheme, diff)
		}
	}
}

func prefixed(variables map[string]string) map[string]string {
	all := map[string]string{}
	for name, value := range variables {
		all["ENLACE_SEVERAL_WAYS_"+name] = value
	}
	return all
}

func TestCredentialRefuses(t *testing.T) {
	const secret = "do not show this"
	for name, c := range map[string]struct {
		variables []string
		scheme    string
		want      error
		says      []string // without the prefix
	}{
		"nothing":            {nil, "", enlace.ErrNoCredential, []string{"API_KEY", "USERNAME", "PASSWORD", "SIGNING_KEY"}},
		"the other's half":   {[]string{"PASSWORD"}, "", enlace.ErrInvalid, []string{"USERNAME: missing"}},
		"half a client":      {[]string{"CLIENT_ID"}, "", enlace.ErrInvalid, []string{"CLIENT_SECRET: missing"}},
		"two halves":         {[]string{"PASSWORD", "CLIENT_ID"}, "", enlace.ErrInvalid, []string{"USERNAME: missing", "CLIENT_SECRET: missing"}},
		"two ways":           {[]string{"API_KEY", "USERNAME", "PASSWORD"}, "", enlace.ErrInvalid, []string{"SCHEME: missing", "API_KEY", "USERNAME", "PASSWORD"}},
		"a way and a half":   {[]string{"API_KEY", "USERNAME"}, "", enlace.ErrInvalid, []string{"SCHEME: missing", "API_KEY", "USERNAME"}},
		"named, half":        {[]string{"API_KEY", "USERNAME"}, "basic", enlace.ErrInvalid, []string{"PASSWORD: missing"}},
		"named, nothing":     {[]string{"API_KEY"}, "basic", enlace.ErrNoCredential, []string{"USERNAME", "PASSWORD"}},
		"named the flow":     {[]string{"CLIENT_ID", "CLIENT_SECRET"}, "oauth2", enlace.ErrNoCredential, nil},
		"named by a mistake": {[]string{"API_KEY"}, "apikey", enlace.ErrInvalid, []string{"SCHEME: not an auth scheme"}},
	} {
		variables := map[string]string{}
		for _, v := range c.variables {
			variables[v] = secret
		}
		if c.scheme != "" {
			variables["SCHEME"] = c.scheme
		}
		_, err := given(prefixed(variables)).Credential(several)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", name, err, c.want)
			continue
		}
		if errors.Is(err, enlace.ErrInvalid) && strings.Contains(err.Error(), "SIGNING_KEY: missing") && !strings.Contains(strings.Join(c.variables, " "), "API_KEY") {
			t.Errorf("%s: the error asks for a scheme that nobody began: %v", name, err)
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), "ENLACE_SEVERAL_WAYS_"+says) {
				t.Errorf("%s: the error does not name %s: %v", name, says, err)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the value: %v", name, err)
		}
	}
}

// Quotes and great length are refused wherever a value is read.
func TestValuesThatAreRefused(t *testing.T) {
	registry := enlace.NewRegistry(bitrix24.Adapter{})
	for _, value := range []string{`"quoted secret"`, " 'quoted secret'\n", `""`, strings.Repeat("secret ", 10_000)} {
		for _, variable := range []string{"KEY", "KEYS_RETIRING", "BITRIX24_URL", "BITRIX24_SCHEME", "BITRIX24_CLIENT_ID",
			"BITRIX24_CLIENT_SECRET", "BITRIX24_WEBHOOK_SECRETS"} {
			s := given(map[string]string{"ENLACE_" + variable: value})
			_, keysErr := s.Keys()
			_, appsErr := s.OAuth(registry)
			_, credentialErr := s.Credential(bitrix24.Adapter{}.Describe())
			err := errors.Join(keysErr, appsErr, credentialErr)
			text := err.Error()
			if !strings.Contains(text, "ENLACE_"+variable+": in quotes") && !strings.Contains(text, "ENLACE_"+variable+": too long") {
				t.Errorf("%s in %.10q is not refused: %.200v", variable, value, err)
			}
			if strings.Contains(text, "secret ") && len(value) > 1000 || strings.Contains(text, "quoted") {
				t.Errorf("the error shows the value of %s: %.200v", variable, err)
			}
		}
	}
}

func TestWebhookSecrets(t *testing.T) {
	s := given(map[string]string{"ENLACE_BITRIX24_URL": "https://acme.bitrix24.com/rest/1/x/", "ENLACE_BITRIX24_WEBHOOK_SECRETS": "new, old,"})
	c, err := s.Credential(bitrix24.Adapter{}.Describe())
	if err != nil || len(c.WebhookSecrets) != 2 || c.WebhookSecrets[0].Reveal() != "new" || c.WebhookSecrets[1].Reveal() != "old" {
		t.Errorf("got %d webhook secrets, %v", len(c.WebhookSecrets), err)
	}
}

func TestPrefix(t *testing.T) {
	t.Setenv("MYAPP_BITRIX24_URL", "https://acme.bitrix24.com/rest/1/x/")
	c, err := env.Source{Prefix: "MYAPP"}.Credential(bitrix24.Adapter{}.Describe())
	if err != nil || c.Scheme != bitrix24.SchemeWebhook || c.Secrets["url"].Reveal() != "https://acme.bitrix24.com/rest/1/x/" {
		t.Errorf("from the process's environment: scheme %q, %v", c.Scheme, err)
	}
}

func TestOAuth(t *testing.T) {
	direct := enlace.Descriptor{Name: "direct", Auth: []enlace.AuthScheme{enlace.ClientCredentials{}}}
	registry := enlace.NewRegistry(bitrix24.Adapter{}, adapter{d: several}, adapter{d: direct})
	s := given(map[string]string{
		"ENLACE_BITRIX24_CLIENT_ID": " id\n", "ENLACE_BITRIX24_CLIENT_SECRET": "secret",
		"ENLACE_DIRECT_CLIENT_ID": "no app of the code flow", "ENLACE_DIRECT_CLIENT_SECRET": "x",
	})
	apps, err := s.OAuth(registry)
	if err != nil || len(apps) != 1 || apps["bitrix24"].ClientID != "id" || apps["bitrix24"].ClientSecret.Reveal() != "secret" {
		t.Errorf("got %v, %v", apps, err)
	}
	if _, err := s.Credential(bitrix24.Adapter{}.Describe()); !errors.Is(err, enlace.ErrNoCredential) {
		t.Errorf("an app alone opens no account: %v, want ErrNoCredential", err)
	}

	_, err = given(map[string]string{"ENLACE_BITRIX24_CLIENT_ID": "lonely value", "ENLACE_SEVERAL_WAYS_CLIENT_SECRET": "lonely value"}).OAuth(registry)
	faults, _ := errors.AsType[*enlace.ValidationError](err)
	var fields []string
	if faults != nil {
		for _, f := range faults.Faults {
			fields = append(fields, f.Field)
		}
	}
	if diff := cmp.Diff([]string{"ENLACE_BITRIX24_CLIENT_SECRET", "ENLACE_SEVERAL_WAYS_CLIENT_ID"}, fields); diff != "" || strings.Contains(err.Error(), "lonely") {
		t.Errorf("halves of apps: %v (-want +got):\n%s", err, diff)
	}
}

func TestKeys(t *testing.T) {
	first, second, third := enlace.GenerateKey().Reveal(), enlace.GenerateKey().Reveal(), enlace.GenerateKey().Reveal()
	for name, c := range map[string]struct {
		variables map[string]string
		faults    []string
	}{
		"one":              {map[string]string{"ENLACE_KEY": first + "\n"}, nil},
		"with former ones": {map[string]string{"ENLACE_KEY": first, "ENLACE_KEYS_RETIRING": " " + second + " , " + third + ", "}, nil},
		"none":             {nil, []string{"ENLACE_KEY"}},
		"former ones only": {map[string]string{"ENLACE_KEYS_RETIRING": second}, []string{"ENLACE_KEY"}},
		"damaged":          {map[string]string{"ENLACE_KEY": first[1:], "ENLACE_KEYS_RETIRING": second[1:] + "," + third[1:]}, []string{"ENLACE_KEY", "ENLACE_KEYS_RETIRING", "ENLACE_KEYS_RETIRING"}},
		"twice":            {map[string]string{"ENLACE_KEY": first, "ENLACE_KEYS_RETIRING": second + "," + first}, []string{"ENLACE_KEYS_RETIRING"}},
		"quoted":           {map[string]string{"ENLACE_KEY": `"` + first + `"`}, []string{"ENLACE_KEY"}},
	} {
		keys, err := given(c.variables).Keys()
		var fields []string
		if v, ok := errors.AsType[*enlace.ValidationError](err); ok {
			for _, f := range v.Faults {
				fields = append(fields, f.Field)
			}
		}
		if diff := cmp.Diff(c.faults, fields); diff != "" || (err == nil) != (keys != nil) {
			t.Errorf("%s: keys %t, %v, faults (-want +got):\n%s", name, keys != nil, err, diff)
		}
		if err != nil && (strings.Contains(err.Error(), first[1:]) || strings.Contains(err.Error(), second[1:])) {
			t.Errorf("%s: the error shows a key", name)
		}
	}
}

// The former keys open, and the new one seals.
func TestKeysRotate(t *testing.T) {
	old, now := enlace.GenerateKey().Reveal(), enlace.GenerateKey().Reveal()
	before, err := given(map[string]string{"ENLACE_KEY": old}).Keys()
	if err != nil {
		t.Fatal(err)
	}
	after, err := given(map[string]string{"ENLACE_KEY": now, "ENLACE_KEYS_RETIRING": old}).Keys()
	if err != nil {
		t.Fatal(err)
	}
	sealed := sealOnce(t, before)
	if _, err := enlace.NewSafe(sealed, after).Get(t.Context(), place); err != nil {
		t.Errorf("a former key does not open: %v", err)
	}
	if _, err := enlace.NewSafe(sealOnce(t, after), before).Get(t.Context(), place); !errors.Is(err, enlace.ErrKey) {
		t.Errorf("what the new key sealed is opened by the old one: %v", err)
	}
}

func TestExample(t *testing.T) {
	for path, registry := range map[string]*enlace.Registry{
		"../../.env.example":           enlace.NewRegistry(bitrix24.Adapter{}), // all adapters of real providers
		"testdata/several.env.example": enlace.NewRegistry(adapter{d: several}, bitrix24.Adapter{}),
	} {
		got := env.Source{}.Example(registry)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is not up to date; run go test ./store/env -update (-want +got):\n%s", path, diff)
		}
	}
}

// What the example names is what is read.
func TestExampleIsComplete(t *testing.T) {
	text := env.Source{}.Example(enlace.NewRegistry(adapter{d: several}, bitrix24.Adapter{}))
	asked := map[string]bool{}
	s := env.Source{Lookup: func(name string) (string, bool) { asked[name] = true; return "", false }}
	_, _ = s.Keys()
	_, _ = s.OAuth(enlace.NewRegistry(adapter{d: several}, bitrix24.Adapter{}))
	_, _ = s.Credential(several)
	for name := range asked {
		if !strings.Contains(text, name+"=\n") {
			t.Errorf("%s is read and not in the example", name)
		}
	}
	for line := range strings.Lines(text) {
		if name, found := strings.CutSuffix(strings.TrimPrefix(line, "# "), "=\n"); found && strings.Contains(name, "SEVERAL") && !asked[name] {
			t.Errorf("%s is in the example and not read", name)
		}
		if line != "\n" && !strings.HasPrefix(line, "#") && line != "ENLACE_KEY=\n" {
			t.Errorf("a line that is no comment: %q", line)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "", "https://acme.bitrix24.com/rest/1/x/", "id", "secret", "")
	f.Add(`"x"`, ",,", "'", `""`, "\x00", "api_key")
	registry := enlace.NewRegistry(bitrix24.Adapter{}, adapter{d: several})
	f.Fuzz(func(t *testing.T, key, retiring, secret, id, clientSecret, scheme string) {
		for _, canary := range []string{"", "canary7f3a"} {
			s := given(map[string]string{
				"ENLACE_KEY": canary + key, "ENLACE_KEYS_RETIRING": canary + retiring, "ENLACE_BITRIX24_URL": canary + secret,
				"ENLACE_SEVERAL_WAYS_API_KEY": canary + secret, "ENLACE_SEVERAL_WAYS_CLIENT_ID": canary + id,
				"ENLACE_SEVERAL_WAYS_CLIENT_SECRET": canary + clientSecret, "ENLACE_SEVERAL_WAYS_SCHEME": scheme,
			})
			_, keysErr := s.Keys()
			_, appsErr := s.OAuth(registry)
			c, severalErr := s.Credential(several)
			b, bitrixErr := s.Credential(bitrix24.Adapter{}.Describe())
			for _, err := range []error{keysErr, appsErr, severalErr, bitrixErr} {
				if err != nil && canary != "" && strings.Contains(err.Error(), canary) {
					t.Fatalf("the error shows a value: %v", err)
				}
			}
			if want := strings.TrimSpace(canary + secret); bitrixErr == nil && b.Secrets["url"].Reveal() != want {
				t.Fatalf("%q is read as another value", want)
			}
			if severalErr == nil && (c.Scheme == "" || len(c.Secrets) == 0) {
				t.Fatalf("an empty credential: %+v", c)
			}
		}
	})
}
