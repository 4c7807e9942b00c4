package enlace_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

var manyFields = []enlace.Field{
	{Name: "label", Pattern: `[a-z]+`},
	{Name: "portal", Kind: enlace.FieldHost, Required: true, Help: "the portal's host"},
	{Name: "mode", Kind: enlace.FieldChoice, Choices: []string{"fast", "safe"}, Default: "safe"},
	{Name: "strict", Kind: enlace.FieldBoolean},
	{Name: "depth", Kind: enlace.FieldInteger, Min: -5, Max: 5},
	{Name: "any", Kind: enlace.FieldInteger},
	{Name: "pause", Kind: enlace.FieldMilliseconds, Min: 1, Max: 100},
	{Name: "callback", Kind: enlace.FieldURL},
}

// faultsOf returns the faults as "field: problem".
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	v, ok := errors.AsType[*enlace.ValidationError](err)
	if !ok {
		t.Fatalf("got %v, want a *ValidationError", err)
	}
	if !errors.Is(err, enlace.ErrInvalid) {
		t.Error("a *ValidationError does not match ErrInvalid")
	}
	var all []string
	for _, f := range v.Faults {
		if f.Allowed == "" {
			t.Errorf("%s does not say what is allowed", f.Field)
		}
		all = append(all, f.Field+": "+f.Problem)
	}
	slices.Sort(all)
	return all
}

func TestCreateReportsEveryFaultAtOnce(t *testing.T) {
	h := newHost(t, crm{fields: manyFields})
	_, err := h.Create(t.Context(), enlace.NewIntegration{
		Provider: "crm", Name: strings.Repeat("n", 201), Features: []enlace.Feature{enlace.FeatureCRMSync, "teleport"},
		Settings: map[string]string{
			"timeout": "99", "retryAttempts": "11", "apiUrl": "ftp://x.example.com", "label": "UPPER", "mode": "slow",
			"strict": "yes", "depth": "6", "any": "1.5", "pause": "0", "callback": "https://u@x.example.com/", "colour": "red",
		},
		Credential: &enlace.Credential{Secrets: map[string]enlace.Secret{"token": enlace.NewSecret(canary)}},
	})
	want := []string{
		"any: not a whole number", "apiUrl: not an http or https URL", "api_key: missing",
		"callback: with a user, a query or a fragment", "colour: unknown setting", "depth: out of range",
		"features: not a feature of crm: teleport", "label: not of the expected form", "mode: not one of the choices",
		"name: empty or too long", "pause: out of range", "portal: missing", "retryAttempts: out of range",
		"strict: not a boolean", "timeout: out of range", "token: not a secret of the scheme api_key",
	}
	if diff := cmp.Diff(want, faultsOf(t, err)); diff != "" {
		t.Error("faults (-want +got):\n" + diff)
	}
	checkNoLeak(t, "the error", err.Error(), canary)
	v, _ := errors.AsType[*enlace.ValidationError](err)
	for _, f := range v.Faults {
		switch f.Field {
		case "timeout":
			if f.Allowed != "a whole number from 100 to 600000" {
				t.Errorf("timeout allows %q", f.Allowed)
			}
		case "mode":
			if f.Allowed != "fast, safe" {
				t.Errorf("mode allows %q", f.Allowed)
			}
		case "colour":
			if !strings.Contains(f.Allowed, "apiUrl") || !strings.Contains(f.Allowed, "portal") {
				t.Errorf("an unknown setting's fault lists %q", f.Allowed)
			}
		}
	}
	if list, _, _ := h.List(t.Context(), enlace.IntegrationQuery{}); len(list) != 0 {
		t.Error("something was stored in spite of the faults")
	}
}

func TestSettingValues(t *testing.T) {
	h := newHost(t, crm{fields: manyFields})
	long := strings.Repeat("a", 1000)
	for _, test := range []struct {
		name, value string
		good        bool
	}{
		{"timeout", "100", true}, {"timeout", "99", false}, {"timeout", "600000", true}, {"timeout", "600001", false},
		{"timeout", "", true}, {"timeout", "-1", false}, {"timeout", "1e3", false}, {"timeout", " 100", false},
		{"timeout", "99999999999999999999", false},
		{"retryAttempts", "0", true}, {"retryAttempts", "10", true}, {"retryAttempts", "11", false}, {"retryAttempts", "-1", false},
		{"apiUrl", "https://x.example.com/v1", true}, {"apiUrl", "//x.example.com", false}, {"apiUrl", "/v1", false},
		{"apiUrl", "https://", false}, {"apiUrl", "https://x.example.com/?k=1", false}, {"apiUrl", "https://x.example.com/#f", false},
		{"apiUrl", "https://user:pass@x.example.com/", false}, {"apiUrl", "https://x.example.com/%zz", false}, {"apiUrl", "javascript:alert(1)", false},
		{"label", "abc", true}, {"label", long, true}, {"label", long + "a", false}, {"label", "abc\n", false}, {"label", "abc1", false},
		{"portal", "acme.example.com", true}, {"portal", "acme.example.com:8443", true}, {"portal", "https://acme.example.com", false},
		{"portal", "acme.example.com/x", false}, {"portal", "evil.example.com/#", false}, {"portal", "a@b.example.com", false}, {"portal", "a?b", false},
		{"mode", "fast", true}, {"mode", "FAST", false}, {"strict", "true", true}, {"strict", "false", true}, {"strict", "1", false},
		{"depth", "-5", true}, {"depth", "-6", false}, {"any", "-9223372036854775808", true}, {"any", "x", false},
		{"callback", "http://x.example.com", true},
	} {
		settings := map[string]string{"portal": "acme.example.com"}
		settings[test.name] = test.value
		cred := apiKey("k")
		_, err := h.Create(t.Context(), enlace.NewIntegration{Provider: "crm", Settings: settings, Credential: &cred})
		if (err == nil) != test.good {
			t.Errorf("%s = %.40q: %v", test.name, test.value, err)
		}
		if err != nil && !errors.Is(err, enlace.ErrInvalid) {
			t.Errorf("%s = %.40q: %v does not match ErrInvalid", test.name, test.value, err)
		}
	}
}

func TestSettingDefaults(t *testing.T) {
	h := newHost(t, crm{fields: manyFields})
	c := h.open(h.create(apiKey("k"), with("portal", "acme.example.com"), with("depth", "3")))
	for name, want := range map[string]string{
		"mode": "safe", "depth": "3", "portal": "acme.example.com", "timeout": "30000", "retryAttempts": "3", "label": "", "unheard": "",
	} {
		if got := c.Setting(name); got != want {
			t.Errorf("Setting(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestBaseURLPlaceholders(t *testing.T) {
	h := newHost(t, crm{base: "https://{portal}/rest", fields: []enlace.Field{{Name: "portal", Kind: enlace.FieldHost}}})
	if in := h.create(apiKey("k"), with("portal", "acme.example.com")); in.BaseURL != "https://acme.example.com/rest/" {
		t.Errorf("base URL %q", in.BaseURL)
	}
	if in := h.create(apiKey("k"), with("portal", "acme.example.com"), with("apiUrl", "https://sandbox.example.com")); in.BaseURL != "https://sandbox.example.com/" {
		t.Errorf("with apiUrl: base URL %q", in.BaseURL)
	}
	cred := apiKey("k")
	_, err := h.Create(t.Context(), enlace.NewIntegration{Provider: "crm", Credential: &cred})
	if diff := cmp.Diff([]string{"portal: missing"}, faultsOf(t, err)); diff != "" {
		t.Error("faults without the placeholder's value (-want +got):\n" + diff)
	}
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	_, err := enlace.New(enlace.Config{MaxBody: -1, OAuth: map[string]enlace.OAuthApp{
		"crm": {ClientID: "only"}, "other": {ClientSecret: enlace.NewSecret(canary)}, "own": {TokenURL: "https://x.example.com"}}})
	want := []string{"Keys: missing", "MaxBody: negative", "OAuth[crm]: a client id without a secret, or the reverse",
		"OAuth[other]: a client id without a secret, or the reverse", "Registry: missing", "Store: missing"}
	if diff := cmp.Diff(want, faultsOf(t, err)); diff != "" {
		t.Error("faults (-want +got):\n" + diff)
	}
	checkNoLeak(t, "the error", err.Error(), canary)
}

// There is no unsealed mode.
func TestNewRefusesToWorkWithoutAKey(t *testing.T) {
	s, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(crm{}), Store: memory.New()})
	if s != nil || !errors.Is(err, enlace.ErrInvalid) || !strings.Contains(err.Error(), "NewKeyring") {
		t.Errorf("New without Keys: %v, %v", s, err)
	}
}

func TestNewWithTheLeastConfig(t *testing.T) {
	s, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(crm{}), Store: memory.New(), Keys: newKeys(t)})
	if err != nil {
		t.Fatal(err)
	}
	if s.Registry() == nil || s.Safe() == nil {
		t.Error("a service without registry or safe")
	}
	in, err := s.Create(t.Context(), enlace.NewIntegration{Provider: "crm"})
	if err != nil || in.Status != enlace.StatusPending || !in.Enabled || in.Name != "Example CRM" {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestUnknownProvider(t *testing.T) {
	h := newHost(t, crm{})
	_, err := h.Create(t.Context(), enlace.NewIntegration{Provider: "nobody"})
	if e, ok := errors.AsType[*enlace.Error](err); !ok || !errors.Is(err, enlace.ErrUnknownProvider) || e.Provider != "nobody" {
		t.Errorf("Create: %v", err)
	}
	_, err = h.TestConnection(t.Context(), enlace.ConnectionTest{Provider: "nobody"})
	if !errors.Is(err, enlace.ErrUnknownProvider) {
		t.Errorf("TestConnection: %v", err)
	}
}

// Somebody may change the stored row by hand: what is stored is validated again
// when it is used.
func TestStoredSettingsAreValidatedAgain(t *testing.T) {
	h := newHost(t, crm{})
	in := h.create(apiKey("k"))
	in.Settings = map[string]string{"timeout": "1", "bogus": "x"}
	if err := h.store.UpdateIntegration(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	_, err := h.Conn(t.Context(), in.Ref)
	if diff := cmp.Diff([]string{"bogus: unknown setting", "timeout: out of range"}, faultsOf(t, err)); diff != "" {
		t.Error("faults (-want +got):\n" + diff)
	}
}

func TestCommonSettingsHaveValidDefaults(t *testing.T) {
	fields := enlace.CommonSettings()
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"apiUrl", "timeout", "retryAttempts", "webhookAllow", "healthInterval"}, names); diff != "" {
		t.Error("common settings (-want +got):\n" + diff)
	}
	fields[0].Name = "changed" // by a caller; nobody else may see it
	if enlace.CommonSettings()[0].Name != "apiUrl" {
		t.Error("callers share the common settings' memory")
	}
}

func TestSchemesOfACredential(t *testing.T) {
	two := []enlace.AuthScheme{headerKey, enlace.Basic{}}
	h := newHost(t, crm{auth: two})
	for name, test := range map[string]struct {
		cred enlace.Credential
		want []string
	}{
		"unnamed of two": {enlace.Credential{}, []string{"scheme: not an auth scheme of crm"}},
		"unknown":        {enlace.Credential{Scheme: "oauth2"}, []string{"scheme: not an auth scheme of crm"}},
		"all missing":    {enlace.Credential{Scheme: "basic"}, []string{"password: missing", "username: missing"}},
		"empty secret": {enlace.Credential{Scheme: "basic", Secrets: map[string]enlace.Secret{"username": enlace.NewSecret("u"), "password": {}}},
			[]string{"password: missing"}},
	} {
		_, err := h.Create(t.Context(), enlace.NewIntegration{Provider: "crm", Credential: &test.cred})
		if diff := cmp.Diff(test.want, faultsOf(t, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	one := newHost(t, crm{})
	cred := apiKey("k")
	cred.Scheme = "" // the only one there is
	c := one.open(one.create(cred))
	if err := c.Do(t.Context(), enlace.Call{Path: "ping"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := one.provider.seen("ping")[0].Header.Get("X-Api-Key"); got != "k" {
		t.Errorf("the key in the header is %q", got)
	}
}

// Every scheme describes its secrets for a form.
func TestSecretFieldsOfSchemes(t *testing.T) {
	for _, test := range []struct {
		scheme enlace.AuthScheme
		name   string
		fields string
	}{
		{enlace.APIKey{}, "api_key", "api_key!"}, {enlace.APIKey{Name: "token"}, "token", "api_key!"},
		{enlace.Basic{}, "basic", "username! password!"}, {enlace.SecretURL{}, "secret_url", "url!"},
		{enlace.OAuth2{}, "oauth2", "client_id client_secret"},
		{enlace.ClientCredentials{}, "client_credentials", "client_id client_secret"},
		{enlace.CustomAuth{Fields: []enlace.SecretField{{Name: "pin"}}}, "custom", "pin"},
	} {
		var fields []string
		for _, f := range test.scheme.SecretFields() {
			required := map[bool]string{true: "!"}[f.Required]
			fields = append(fields, f.Name+required)
		}
		if test.scheme.Scheme() != test.name || strings.Join(fields, " ") != test.fields {
			t.Errorf("%T: %s with %v", test.scheme, test.scheme.Scheme(), fields)
		}
	}
	if p := enlace.BearerHeader(); p.Header != "Authorization" || p.Prefix != "Bearer " {
		t.Errorf("%+v", p)
	}
}
