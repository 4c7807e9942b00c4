package bitrix24test_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func ExampleNewServer() {
	server := bitrix24test.NewServer(bitrix24test.Options{})
	defer server.Close()
	server.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000_000})
	server.Put(bitrix24test.Contact, map[string]any{"id": 999_999, "name": "Inês", "lastName": "Araújo"})

	response, err := http.PostForm(server.WebhookURL()+"crm.item.list", url.Values{
		"entityTypeId": {"3"}, "filter[>id]": {"999998"}, "order[id]": {"ASC"}, "select[]": {"id"}, "start": {"0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var page struct {
		Result struct {
			Items []struct{ ID int64 }
		}
		Total int
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(page.Total, page.Result.Items)
	// Output: 2 [{999999} {1000000}]
}

// A portal in memory needs no network, and its faults come on demand.
func ExamplePortal_Fault() {
	portal := bitrix24test.New(bitrix24test.Options{})
	client := &http.Client{Transport: portal.Transport()}
	portal.Fault(bitrix24test.Fault{Method: "server.time", Kind: bitrix24test.RateLimited, After: 1})

	for range 3 {
		response, err := client.Post(portal.WebhookURL()+"server.time", "application/json", strings.NewReader("{}"))
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
	// Output:
	// 200
	// 503
	// 200
}

// Authorize gives an application its first tokens without a browser.
func ExamplePortal_Authorize() {
	portal := bitrix24test.New(bitrix24test.Options{BaseURL: "https://padaria.bitrix24.com.br"})
	client := &http.Client{Transport: portal.Transport()}
	tokens := portal.Authorize()
	portal.ExpireTokens()

	response, err := client.PostForm(tokens.ClientEndpoint+"profile", url.Values{"auth": {tokens.AccessToken}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var refusal struct{ Error string }
	json.NewDecoder(response.Body).Decode(&refusal)
	fmt.Println(tokens.ClientEndpoint, response.StatusCode, refusal.Error)
	// Output: https://padaria.bitrix24.com.br/rest/ 401 expired_token
}

// A portal tells an application about changes, here in memory: with the zero EventTransport it
// calls the handler's address over the network.
func ExampleHandlerTransport() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.PostFormValue("event"), r.PostFormValue("data[FIELDS][ID]"))
	})
	portal := bitrix24test.New(bitrix24test.Options{EventTransport: bitrix24test.HandlerTransport(handler)})
	client := &http.Client{Transport: portal.Transport()}

	response, err := client.PostForm(portal.RESTURL()+"event.bind", url.Values{
		"auth": {portal.Authorize().AccessToken}, "event": {"ONCRMCONTACTADD"}, "handler": {"https://app.example.net/b24"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	response.Body.Close()
	portal.Put(bitrix24test.Contact, map[string]any{"name": "Inês"}) // a colleague at work in the portal
	portal.Drain()
	// Output: ONCRMCONTACTADD 1
}

// An outgoing webhook needs no application, and its events bring no tokens.
func ExamplePortal_AddOutgoingWebhook() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.PostFormValue("event"), r.PostFormValue("auth[access_token]") == "", len(r.PostFormValue("auth[application_token]")))
		w.WriteHeader(http.StatusInternalServerError)
	})
	portal := bitrix24test.New(bitrix24test.Options{EventTransport: bitrix24test.HandlerTransport(handler)})
	portal.AddOutgoingWebhook("https://app.example.net/b24", "ONCRMDEALADD", "ONCRMDEALDELETE")
	id := portal.Put(bitrix24test.Deal, map[string]any{"title": "Order 77"})
	portal.Delete(bitrix24test.Deal, id)
	portal.Drain()
	fmt.Println(portal.Stats().Events, "events, lost", portal.Stats().LostEvents)
	// Output:
	// ONCRMDEALADD true 32
	// ONCRMDEALDELETE true 32
	// 2 events, lost 2
}

// Install is what a user does; the callback gets the application's first tokens.
func ExamplePortal_Install() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL, r.PostFormValue("event"), r.PostFormValue("auth[refresh_token]") != "")
	})
	portal := bitrix24test.New(bitrix24test.Options{Callback: "https://app.example.net/install", EventTransport: bitrix24test.HandlerTransport(handler)})
	portal.Install()
	portal.Drain()
	portal.Uninstall(false)
	portal.Drain()
	// Output:
	// https://app.example.net/install ONAPPINSTALL true
	// https://app.example.net/install ONAPPUNINSTALL false
}

// SetEventMode makes events arrive as badly as they may.
func ExamplePortal_SetEventMode() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.PostFormValue("event"), r.PostFormValue("data[FIELDS][ID]"))
	})
	portal := bitrix24test.New(bitrix24test.Options{EventTransport: bitrix24test.HandlerTransport(handler)})
	portal.AddOutgoingWebhook("https://app.example.net/b24", "ONCRMCONTACTADD")
	portal.SetEventMode(bitrix24test.EventMode{Duplicate: true, Reverse: true})
	portal.Put(bitrix24test.Contact, map[string]any{"id": 1})
	portal.Put(bitrix24test.Contact, map[string]any{"id": 2})
	portal.Drain()
	// Output:
	// ONCRMCONTACTADD 2
	// ONCRMCONTACTADD 2
	// ONCRMCONTACTADD 1
	// ONCRMCONTACTADD 1
}
