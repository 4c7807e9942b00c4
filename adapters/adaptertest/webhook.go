package adaptertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// webhooks checks the author's deliveries, and many that are none.
func (s *suite) webhooks() {
	if s.can(enlace.CanRegisterWebhooks) {
		s.check("webhook/register", options{}, (*process).checkRegistration)
	}
	if !s.can(enlace.CanReceiveWebhooks) {
		s.skip("webhooks: the adapter is no WebhookReceiver")
		return
	}
	count := 0
	s.check("webhook", options{}, func(p *process) error {
		if count = len(p.provider.Webhooks); count == 0 {
			return broken(ruleHarness, "the adapter is a WebhookReceiver, so Provider.Webhooks needs a genuine delivery")
		}
		return nil
	})
	for i := range count {
		name := fmt.Sprintf("webhook/%d/", i+1)
		w := func(p *process) Webhook { return p.provider.Webhooks[i] }
		s.check(name+"proof", options{}, func(p *process) error { return p.checkProof(w(p)) })
		s.check(name+"events", options{}, func(p *process) error { return p.checkEvents(w(p)) })
		s.check(name+"junk", options{}, func(p *process) error { return p.checkJunk(w(p)) })
		if s.can(enlace.CanAnswerChallenges) {
			s.check(name+"no challenge", options{}, func(p *process) error { return p.checkNoChallenge(w(p)) })
		}
	}
}

func (p *process) receiver() enlace.WebhookReceiver {
	r, _ := enlace.As[enlace.WebhookReceiver](p.adapter)
	return r
}

// checkProof forges the delivery in every way.
func (p *process) checkProof(w Webhook) error {
	verifier := p.receiver().Verifier()
	if verifier == nil {
		return broken(ruleProof, "Verifier returns nil")
	}
	secrets, other := []enlace.Secret{w.Secret}, enlace.NewSecret("adaptertest: another secret")
	forgeries := forgeriesOf(w.Delivery, verifier, secrets)
	if _, none := verifier.(enlace.Unverified); none && !w.Secret.IsZero() {
		return broken(ruleProof, "the provider proves the delivery, and the adapter says Unverified")
	} else if none {
		p.skip("the proof of deliveries: the provider proves nothing (enlace.Unverified)")
	} else {
		for what, proofs := range map[string][]enlace.Secret{"its secret": secrets, "its secret beside another one": {other, w.Secret}} {
			if err := verifier.Verify(w.Delivery, proofs); err != nil {
				return broken(ruleProof, "a genuine delivery is refused with %s: %v", what, err)
			}
		}
		if len(forgeries) == 0 {
			return broken(ruleProof, "no header, query parameter or field of the delivery can be taken away so that it is refused: nothing proves it")
		}
	}
	for what, proofs := range map[string][]enlace.Secret{"no secret": nil, "an empty secret": {{}}, "another secret": {other}, "an empty and another secret": {{}, other}} {
		forgeries = append(forgeries, forgery{"a genuine delivery, and " + what, w.Delivery, proofs})
	}
	bare := w.Delivery
	bare.Header, bare.Body, bare.URL = http.Header{}, nil, &url.URL{}
	forgeries = append(forgeries, forgery{"a delivery without header, query and body", bare, secrets}, forgery{"nothing at all", enlace.Delivery{}, secrets})
	text := ""
	for _, f := range forgeries {
		err := verifier.Verify(f.delivery, f.secrets)
		p.journal.note(err)
		switch {
		case err == nil:
			return broken(ruleProof, "accepted: %s", f.name)
		case !errors.Is(err, enlace.ErrSignature):
			return broken(ruleSame, "%s: %v", f.name, err)
		case text != "" && err.Error() != text:
			return broken(ruleSame, "%s: %q, elsewhere %q", f.name, err, text)
		}
		text = err.Error()
	}
	return nil
}

// forgery is a delivery that must be refused.
type forgery struct {
	name     string
	delivery enlace.Delivery
	secrets  []enlace.Secret
}

// forgeriesOf spoils those parts of a delivery without which it is refused, since
// they are its proof, and a signed body.
func forgeriesOf(d enlace.Delivery, v enlace.Verifier, secrets []enlace.Secret) []forgery {
	var all []forgery
	for _, place := range placesOf(d) {
		if v.Verify(place.with(d, nil), secrets) == nil {
			continue // not a part of the proof
		}
		for what, values := range spoiltValues(place.value) {
			all = append(all, forgery{fmt.Sprintf("%s %s: %s", place.kind, place.name, what), place.with(d, values), secrets})
		}
	}
	if v.Proof(d).Signed {
		altered := d
		altered.Body = append(bytes.Clone(d.Body), ' ')
		all = append(all, forgery{"an altered body", altered, secrets})
	}
	return all
}

// spoiltValues are what may stand in the place of a value that proves something.
func spoiltValues(value string) map[string][]string {
	values := map[string][]string{"missing": nil, "empty": {""}, "twice": {value, value}, "a wrong one beside": {value, value + "x"},
		"a wrong one before": {"x" + value, value}, "with a space": {" " + value}}
	if value != "" {
		values["cut"], values["longer"] = []string{value[:len(value)-1]}, []string{value + "0"}
		last := "0"
		if strings.HasSuffix(value, "0") {
			last = "1"
		}
		values["altered"] = []string{value[:len(value)-1] + last}
	}
	return values
}

// place is where a value stands in a delivery.
type place struct {
	kind, name, value string
}

// placesOf lists every value of headers, query and form.
func placesOf(d enlace.Delivery) []place {
	var all []place
	add := func(kind string, values map[string][]string) {
		for name, v := range values {
			if len(v) == 1 {
				all = append(all, place{kind, name, v[0]})
			}
		}
	}
	add("header", d.Header)
	if d.URL != nil {
		add("query parameter", d.URL.Query())
	}
	if form, err := url.ParseQuery(string(d.Body)); err == nil && isForm(d) {
		add("field", form)
	}
	slices.SortFunc(all, func(a, b place) int { return strings.Compare(a.kind+a.name, b.kind+b.name) })
	return all
}

func isForm(d enlace.Delivery) bool {
	return strings.HasPrefix(d.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// with is the delivery with other values in the place.
func (p place) with(d enlace.Delivery, values []string) enlace.Delivery {
	set := func(all map[string][]string) {
		if delete(all, p.name); values != nil {
			all[p.name] = values
		}
	}
	switch p.kind {
	case "header":
		d.Header = d.Header.Clone()
		set(d.Header)
	case "query parameter":
		u, query := *d.URL, d.URL.Query()
		set(query)
		u.RawQuery = query.Encode()
		d.URL = &u
	default:
		form, _ := url.ParseQuery(string(d.Body))
		set(form)
		d.Body = []byte(form.Encode())
	}
	return d
}

// parse calls ParseWebhook with a copy of the body and checks that it stays as it is.
func (p *process) parse(d enlace.Delivery) (events []enlace.Event, err error) {
	before := bytes.Clone(d.Body)
	fail := p.timed("ParseWebhook", func() error {
		events, err = p.receiver().ParseWebhook(p.ctx, d)
		return nil
	})
	p.journal.note(err)
	if fail == nil && !bytes.Equal(before, d.Body) {
		fail = broken(ruleParse, "it changes the body of the delivery")
	}
	if fail != nil {
		return nil, fail
	}
	return events, err
}

// checkEvents parses the genuine delivery.
func (p *process) checkEvents(w Webhook) error {
	p.wire.plan(nil)
	events, err := p.parse(w.Delivery)
	if err != nil {
		return broken(ruleParse, "%v", err)
	}
	if want := max(1, w.Events); len(events) != want {
		return broken(ruleParse, "%d events, want %d", len(events), want)
	}
	for i, e := range events {
		_, known := p.descriptor().Entity(e.Record.Entity)
		switch {
		case e.Type == "":
			return broken(ruleParse, "event %d has no Type", i+1)
		case e.Record.Entity != "" && !known:
			return broken(ruleParse, "event %d concerns the entity %q, which is not in the descriptor", i+1, e.Record.Entity)
		case e.Record.Entity != "" && e.Record.ID == "":
			return broken(ruleParse, "event %d concerns one of the %s and does not say which", i+1, e.Record.Entity)
		case len(e.Payload) > 0 && !json.Valid(e.Payload), len(e.Record.Data) > 0 && !json.Valid(e.Record.Data):
			return broken(ruleParse, "Payload or Record.Data of event %d is no JSON", i+1)
		case e.Record.Deleted && e.Record.Data != nil:
			return broken(ruleRecord, "event %d is of a tombstone with data", i+1)
		}
	}
	again, err := p.parse(w.Delivery)
	if err != nil || !reflect.DeepEqual(events, again) {
		return broken(ruleParse, "parsed again it is different (%v)", err)
	}
	if n := p.wire.count(); n > 0 {
		return broken(ruleParse, "it made %d requests", n)
	}
	return nil
}

// checkJunk parses what is no delivery.
func (p *process) checkJunk(w Webhook) error {
	for _, body := range junk(w.Delivery.Body) {
		d := w.Delivery
		d.Body = body
		if err := p.parseJunk(d); err != nil {
			return err
		}
	}
	for _, d := range []enlace.Delivery{{}, {Body: w.Delivery.Body}, {Header: http.Header{}, URL: &url.URL{}}} {
		if err := p.parseJunk(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) parseJunk(d enlace.Delivery) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = broken(ruleJunk, "panic %v for the body %.200q\n%s", cause, d.Body, ownStack())
		}
	}()
	events, err := p.parse(d)
	if v, ok := errors.AsType[*violation](err); ok {
		return v
	}
	if err != nil {
		return nil
	}
	for _, e := range events {
		if e.Record.Entity != "" && e.Record.ID == "" {
			return broken(ruleJunk, "an event of one of the %s without an id, and no error, for the body %.200q", e.Record.Entity, d.Body)
		}
	}
	return nil
}

// junk makes bodies that are no deliveries from one that is: pieces of it, it
// with other values, and what has nothing to do with it.
func junk(genuine []byte) [][]byte {
	bodies := [][]byte{nil, {}, []byte("null"), []byte("[]"), []byte("{}"), []byte("[null]"), []byte("[{}]"), []byte(`[[]]`), []byte(`""`), []byte("0"),
		[]byte("true"), []byte("{"), []byte("\x00\xff\xfe"), []byte("a=b&a=c&%zz"), []byte("<html>"), bytes.Repeat([]byte("["), 20_000),
		[]byte(strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000)), []byte("1e999999"), bytes.Repeat([]byte("&"), 20_000),
		append(bytes.Clone(genuine), '}'), append([]byte("\xef\xbb\xbf"), genuine...), slices.Concat(genuine, genuine)}
	for i := range 20 {
		bodies = append(bodies, genuine[:len(genuine)*i/20])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		noise := bytes.Clone(genuine)
		for range 1 + len(noise)/50 {
			if len(noise) > 0 {
				noise[random.IntN(len(noise))] = byte(random.IntN(256))
			}
		}
		bodies = append(bodies, noise)
	}
	return append(bodies, replaced(genuine)...)
}

// replaced puts other values in the place of each value of a JSON body or form, in turn.
func replaced(genuine []byte) [][]byte {
	var bodies [][]byte
	var tree any
	if json.Unmarshal(genuine, &tree) == nil {
		for _, value := range []any{nil, true, -1.5, "", "x", []any{}, []any{nil}, map[string]any{}} {
			walkTree(tree, func(set func(any), old any) {
				set(value)
				if body, err := json.Marshal(tree); err == nil {
					bodies = append(bodies, body)
				}
				set(old)
			})
		}
		return bodies
	}
	form, err := url.ParseQuery(string(genuine))
	if err != nil {
		return nil
	}
	for name := range form {
		for _, value := range []string{"", "x", "-1", "[]", "999999999999999999999"} {
			other := url.Values{}
			for n, v := range form {
				other[n] = v
			}
			other[name] = []string{value}
			bodies = append(bodies, []byte(other.Encode()))
		}
	}
	return bodies
}

// walkTree calls visit for each value below tree, with a way to replace it.
func walkTree(tree any, visit func(set func(any), old any)) {
	switch tree := tree.(type) {
	case map[string]any:
		for key, old := range tree {
			visit(func(v any) { tree[key] = v }, old)
			walkTree(old, visit)
		}
	case []any:
		for i, old := range tree {
			visit(func(v any) { tree[i] = v }, old)
			walkTree(old, visit)
		}
	}
}

// checkNoChallenge hands an ordinary delivery to the challenger.
func (p *process) checkNoChallenge(w Webhook) error {
	challenger, _ := enlace.As[enlace.WebhookChallenger](p.adapter)
	target := "https://host.example/"
	if w.Delivery.URL != nil {
		target = w.Delivery.URL.String()
	}
	for _, body := range append(junk(w.Delivery.Body), w.Delivery.Body) {
		r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, target, bytes.NewReader(body))
		if err != nil {
			return broken(ruleHarness, "the delivery has no address: %v", err)
		}
		r.Header = w.Delivery.Header.Clone()
		recorder := httptest.NewRecorder()
		answered := challenger.AnswerChallenge(recorder, r, body)
		genuine := bytes.Equal(body, w.Delivery.Body)
		if wrote := recorder.Body.Len() > 0; (answered && genuine) || (!answered && wrote) {
			return broken(ruleAnswers, "for the body %.200q it returned %v and wrote %d bytes", body, answered, recorder.Body.Len())
		}
	}
	return nil
}

// step is a part of a registration's life.
type step struct {
	what string
	do   func(context.Context) error
}

// checkRegistration registers and removes an address, each twice. Where the
// provider gives no way to remove one, saying so is enough.
func (p *process) checkRegistration() error {
	c, err := p.conn()
	if err != nil {
		return err
	}
	registrar, _ := enlace.As[enlace.WebhookRegistrar](p.adapter)
	const target = "https://host.example/webhooks/1"
	ensure := func(ctx context.Context) error {
		return registrar.EnsureWebhook(ctx, c, target, enlace.NewSecret("adaptertest-webhook-secret"))
	}
	remove := func(ctx context.Context) error { return registrar.RemoveWebhook(ctx, c, target) }
	all := []step{{"removing what is not there", remove}, {"registering", ensure}, {"registering again", ensure}, {"removing", remove}, {"removing again", remove}}
	outage := []step{{"registering", ensure}, {"removing", remove}}
	p.wire.plan(nil)
	if err := remove(p.ctx); errors.Is(err, enlace.ErrUnsupported) {
		p.journal.note(err)
		if n := p.wire.count(); n > 0 {
			return broken(ruleUnsupported, "removing sent %d requests", n)
		}
		all, outage = all[1:3], outage[:1]
	}
	for _, step := range all {
		err := step.do(p.ctx)
		p.journal.note(err)
		if err != nil {
			return broken(ruleHook, "%s: %v", step.what, err)
		}
	}
	for _, step := range outage {
		p.wire.plan(outage503.always(1))
		err := step.do(p.ctx)
		p.journal.note(err)
		if !errors.Is(err, enlace.ErrUnavailable) {
			return broken(ruleHook, "%s during an outage: %v", step.what, err)
		}
	}
	return nil
}
