package bitrix24test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// depth checks what every parser promises: bounded nesting, and as many keys as items.
func (n *node) depth(t *testing.T) int {
	if len(n.keys) != len(n.items) {
		t.Fatalf("%d keys and %d items", len(n.keys), len(n.items))
	}
	deepest := 0
	for i, item := range n.items {
		if n.get(n.keys[i]) != item {
			t.Fatalf("key %q occurs twice", n.keys[i])
		}
		deepest = max(deepest, item.depth(t))
	}
	return deepest + 1
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"filter[>ID]=5&select[]=ID&select[]=NAME&start=-1", "a[b][c]=1&a[b][]=2&a=3&a[x]=4", "a[b=1&[x]=2&a]b=3&=4&&a..b=5&a[b]c[d]=6",
		"%5B%5D=%&a%5B=%zz&+a=+b", "a[-1]=x&a[]=y&a[9223372036854775807]=z&a[]=w", strings.Repeat("a[", 100) + strings.Repeat("]", 100) + "=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if depth := parseQuery(raw).depth(t); depth > maxNesting+2 {
			t.Errorf("%d levels deep", depth)
		}
	})
}

// FuzzQueryAgainstNetURL compares what has no brackets with the standard parser.
func FuzzQueryAgainstNetURL(f *testing.F) {
	f.Add("key", "a value/ñ&=%+#")
	f.Add("ключ", "")
	f.Add("\xe5", "\xff")
	f.Fuzz(func(t *testing.T, key, value string) {
		if key == "" || strings.ContainsAny(key, "[]. ") {
			t.Skip()
		}
		got := parseQuery(url.QueryEscape(key) + "=" + url.QueryEscape(value)).get(key)
		if got == nil || got.text != value {
			t.Errorf("%q=%q became %+v", key, value, got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"b":1,"a":{"b":[1,2.5,null,true,"x"]},"b":2}`, `[[[]]]`, `{"a":`, `1 2`, strings.Repeat("[", 200), `{"":{"":""}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		root := parseJSON(raw)
		if root == nil {
			return
		}
		if depth := root.depth(t); depth > maxNesting+1 {
			t.Errorf("%d levels deep", depth)
		}
		if !json.Valid(raw) {
			t.Errorf("took invalid JSON %q", raw)
		}
	})
}

// FuzzCommand runs any text as the commands of a batch.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		"crm.contact.list?select[]=ID&start=-1", "crm.contact.get?id=$result[a][0][ID]", "crm.item.list?entityTypeId=3&filter[@id]=$result[a]",
		"?$result[", "$result[a]?x=$result[a][0]]]]&y=[$result[a][99]", "profile?x=$result[a][0][ID]$result[a][1][ID] $result[b]#z",
	} {
		f.Add(seed, seed)
	}
	p := New(Options{WebhookSecret: "s", Quirks: Quirks{PartialReferences: true}})
	p.Seed(Contact, Seed{Count: 3})
	f.Fuzz(func(t *testing.T, first, second string) {
		body, _ := json.Marshal(map[string]any{"cmd": []string{"crm.contact.list?select[]=ID", first, second}})
		serve(t, p, "batch", "application/json", body)
	})
}

// FuzzBody sends any body to the methods with the most parameters.
func FuzzBody(f *testing.F) {
	f.Add("crm.item.list", "application/json", []byte(`{"entityTypeId":3,"filter":{"0":{"logic":"OR","0":{"!=%name":"a%"}}},"order":{"name":"asc"},"start":"7"}`))
	f.Add("crm.contact.list", "application/x-www-form-urlencoded", []byte("filter[%NAME]=a&order[ID]=DESC&select[]=UF_*&start=9"))
	f.Add("batch", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"cmd[a]\"\r\n\r\nscope\r\n--x--\r\n"))
	f.Add("crm.item.get", "application/json", []byte(`{"entityTypeId":"3","id":9223372036854775807}`))
	f.Add("crm.item.list", "application/json", []byte(`{"entityTypeId":3,"filter":{">id":-9223372036854775808,"<id":9223372036854775807,"@id":[]},"start":9223372036854775807}`))
	p := New(Options{WebhookSecret: "s"})
	p.Seed(Contact, Seed{Count: 3})
	f.Fuzz(func(t *testing.T, method, contentType string, body []byte) {
		serve(t, p, method, contentType, body)
	})
}

// serve checks what holds for every request: no panic, and an answer that is either JSON with
// exactly one of result and error, or a page of HTML.
func serve(t *testing.T, p *Portal, method, contentType string, body []byte) {
	serveAt(t, p, "/rest/1/s/"+method, "", contentType, body)
}

func serveAt(t *testing.T, p *Portal, path, query, contentType string, body []byte) {
	address := url.URL{Scheme: "https", Host: "acme.bitrix24.com", Path: path, RawQuery: query}
	r, err := http.NewRequest("POST", address.String(), strings.NewReader(string(body)))
	if err != nil {
		t.Skip()
	}
	r.Header["Content-Type"] = []string{contentType}
	in := fakehttp.Incoming(r)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, in)
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		return
	}
	answer := map[string]json.RawMessage{}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if (answer["result"] == nil) == (answer["error"] == nil) {
		t.Errorf("neither success nor error: %s", w.Body)
	}
}

// FuzzWrites sends any body to the methods that change something, by webhook and as an application.
func FuzzWrites(f *testing.F) {
	f.Add("crm.contact.add", "application/json", []byte(`{"fields":{"NAME":"a","EMAIL":[{"VALUE":"a@b.example"}],"COMPANY_IDS":[1,2]},"params":{"IMPORT":"Y"}}`))
	f.Add("crm.contact.update", "application/json", []byte(`{"id":1,"fields":{"PHONE":[{"ID":4,"VALUE":"+1"},{"ID":5,"DELETE":"Y"},{"VALUE":"+2"}],"BIRTHDATE":"1.2.2003"}}`))
	f.Add("crm.item.update", "application/json", []byte(`{"entityTypeId":3,"id":1,"fields":{"fm":{"4":{"typeId":"PHONE","value":""},"n0":{"typeId":"EMAIL","value":"a@b.example"}},"companyIds":[3]}}`))
	f.Add("crm.item.add", "application/x-www-form-urlencoded", []byte("entityTypeId=2&fields[stageId]=C9:WON&fields[categoryId]=9&fields[opportunity]=1e9&fields[contactIds][]=1"))
	f.Add("crm.item.batchImport", "application/json", []byte(`{"entityTypeId":1,"data":[{"createdTime":"2000-01-01"},5,{"PHONE":[{"VALUE":"1"}]}]}`))
	f.Add("crm.duplicate.findbycomm", "application/json", []byte(`{"type":"EMAIL","values":["contact.1@example.org","família@example.net"]}`))
	f.Add("crm.deal.contact.items.set", "application/json", []byte(`{"id":1,"items":[{"CONTACT_ID":1,"SORT":-5},{"CONTACT_ID":1},{"CONTACT_ID":2,"IS_PRIMARY":"Y"}]}`))
	f.Add("crm.contact.company.delete", "application/json", []byte(`{"id":1,"fields":{"COMPANY_ID":1}}`))
	f.Add("crm.deal.userfield.add", "application/json", []byte(`{"fields":{"FIELD_NAME":"x","USER_TYPE_ID":"enumeration","LIST":[{"VALUE":"a","SORT":1},{"VALUE":"b"}]}}`))
	f.Add("event.bind", "application/json", []byte(`{"event":"ONCRMCONTACTADD","handler":"https://a.example/","options":{"minTimeout":99999999999}}`))
	f.Add("event.offline.get", "application/json", []byte(`{"clear":0,"limit":9,"filter":{"!@ID":[1],"%EVENT_NAME":"ADD",">TIMESTAMP_X":"x"},"order":{"ID":"DESC","ERROR":"ASC"}}`))
	f.Add("event.test", "application/x-www-form-urlencoded", []byte("a[b][c]=d&a[b][]=%00&[]=x"))
	f.Fuzz(func(t *testing.T, method, contentType string, body []byte) {
		p := New(Options{WebhookSecret: "s", EventTransport: HandlerTransport(http.NotFoundHandler())})
		defer p.Close()
		p.Seed(Contact, Seed{Count: 3})
		p.Seed(Deal, Seed{Count: 1})
		p.AddOutgoingWebhook("https://a.example/", "ONCRMCONTACTADD", "ONAPPTEST")
		serve(t, p, method, contentType, body)
		serve(t, p, method, contentType, body)
		token := p.Authorize().AccessToken
		serveAt(t, p, "/rest/"+method, "auth="+token, contentType, body)
		// What is there can be read in full.
		serve(t, p, "crm.item.list", "application/json", []byte(`{"entityTypeId":3}`))
		serve(t, p, "crm.deal.list", "application/json", []byte(`{"filter":{"CONTACT_ID":1}}`))
		serveAt(t, p, "/rest/event.offline.list", "auth="+token, "", nil)
	})
}

// FuzzForm reads back what is sent as an event's form.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"event=ONCRMCONTACTADD&data[FIELDS][ID]=5&ts=1&auth[application_token]=x", "a[b[c]=1&a[]=2&a[][x]=3", "%00=%ff&a[%5D]=1&a[ ]=+", "a[b]=&a[c][d]", "0=1&[0]=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		sent := parseQuery(raw)
		if slices.ContainsFunc(sent.keys, func(key string) bool { return strings.Contains(key, "[") }) {
			t.Skip() // names that PHP cannot read back either
		}
		text := encodeForm(sent)
		if strings.ContainsAny(text, "[] \"<>\x00\r\n") {
			t.Errorf("not escaped: %q", text)
		}
		if again := encodeForm(parseQuery(text)); again != text {
			t.Errorf("%q was read as %q", text, again)
		}
	})
}

// FuzzFollow walks into JSON and compares with the standard decoder.
func FuzzFollow(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"x\\\"]}"},[]],"c":{"d":null}}`), "a", "1")
	f.Add([]byte(`[[1,2],{},"",-1e3]`), "0", "1")
	f.Fuzz(func(t *testing.T, raw []byte, first, second string) {
		var value any
		if json.Unmarshal(raw, &value) != nil || strings.Contains(string(raw), "\\u") || strings.ContainsAny(first+second, "\"\\<>&") {
			t.Skip() // names are compared as they are written
		}
		compact, err := json.Marshal(value) // which also drops names that occur twice
		if err != nil || strings.Contains(string(compact), "\\u") {
			t.Skip()
		}
		got, steps := follow(compact, []string{first, second})
		want, wantSteps := value, 0
		for _, key := range []string{first, second} {
			next, found := step(want, key)
			if !found {
				break
			}
			want, wantSteps = next, wantSteps+1
		}
		text, _ := json.Marshal(want)
		if steps != wantSteps || string(got) != string(text) {
			t.Errorf("%s at %q, %q: %d steps to %s, want %d to %s", compact, first, second, steps, got, wantSteps, text)
		}
	})
}

func step(value any, key string) (any, bool) {
	switch value := value.(type) {
	case map[string]any:
		next, found := value[key]
		return next, found
	case []any:
		for i := range value {
			if strconv.Itoa(i) == key {
				return value[i], true
			}
		}
	}
	return nil, false
}
