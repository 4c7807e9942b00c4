package enlace

import (
	"cmp"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// WebhookConfig is how a service takes webhooks. The zero value is right for most
// hosts but for PublicURL, which [Service.EnsureWebhook] needs.
type WebhookConfig struct {
	// PublicURL is where the world reaches [Service.WebhookHandler], without what
	// stands behind it: an address is PublicURL + "/{integration id}/webhook".
	PublicURL string
	// AllowUnverified names the adapters whose deliveries are taken although
	// nothing proves them. Defaults to none.
	AllowUnverified []string
	// TrustedProxies are the networks of the host's own proxies, whose
	// X-Forwarded-For says who the client is. Defaults to none: the client is the peer.
	TrustedProxies []netip.Prefix

	// MaxBody bounds a body in bytes, compressed and unpacked. Defaults to 1 MiB.
	MaxBody int64
	// MaxFields bounds the fields of a form. Defaults to 1,000.
	MaxFields int
	// BodyTimeout bounds how long a body may take to arrive. Defaults to 10 seconds.
	BodyTimeout time.Duration
	// MaxInFlight bounds the memory of all bodies that are on their way in at
	// once, in bytes. Defaults to 64 MiB.
	MaxInFlight int64
	// PerSecond and Burst limit the deliveries to one integration. PerSecond
	// defaults to 1,000, Burst to 5 seconds' worth; a negative PerSecond is no limit.
	PerSecond float64
	Burst     int
	// RefusedPerMinute limits how many requests of one source (an IPv4 address, an
	// IPv6 network of 64 bits) to one address may be refused before all of them
	// are, unread. Defaults to 60.
	RefusedPerMinute int

	// SpillDirectory is where deliveries go when the store does not take them, until it
	// does; it is for providers that send nothing twice. It must survive the process, and
	// what is in it is sealed. Defaults to none: the answer is 503 then.
	SpillDirectory string
	// MaxSpill bounds what is in SpillDirectory, in bytes. Defaults to 256 MiB.
	MaxSpill int64

	// Workers is how many integrations are worked on at once by this process.
	// Defaults to 4.
	Workers int
	// Lease is how long an integration's deliveries are reserved for the process
	// that works on them. A process that dies holds them up for as long. A handler
	// that takes longer may be overtaken, and then its transaction does not commit.
	// Defaults to 30 seconds.
	Lease time.Duration
	// MaxAttempts is how often a delivery is tried before it is dead; the pauses
	// between grow from seconds to hours. Defaults to 12, which is about half a day.
	MaxAttempts int
	// Retention is how long finished deliveries are kept, and the keys by which
	// repetitions are recognised. Defaults to 30 days.
	Retention time.Duration

	// Processors are the host's own handlers, in their order.
	Processors []Processor
	// Sink takes the records that events tell of. Defaults to Config.Sink; if that is
	// nil too, only Processors see events.
	Sink Sink
}

// withDefaults fills in what is left out.
func (c WebhookConfig) withDefaults() WebhookConfig {
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20)
	c.MaxFields = cmp.Or(c.MaxFields, 1_000)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, 10*time.Second)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 64<<20)
	c.PerSecond = cmp.Or(c.PerSecond, 1_000)
	if c.Burst == 0 && c.PerSecond > 0 {
		c.Burst = max(1, int(5*c.PerSecond))
	}
	c.RefusedPerMinute = cmp.Or(c.RefusedPerMinute, 60)
	c.MaxSpill = cmp.Or(c.MaxSpill, 256<<20)
	c.Workers = cmp.Or(c.Workers, 4)
	c.Lease = cmp.Or(c.Lease, 30*time.Second)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 12)
	c.Retention = cmp.Or(c.Retention, 30*24*time.Hour)
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c
}

func (c WebhookConfig) check(faults *ValidationError) {
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		faults.add("Webhooks.PublicURL", "not an absolute URL", "such as https://host.example/integrations")
	}
	for name, negative := range map[string]bool{
		"MaxBody": c.MaxBody < 0, "MaxFields": c.MaxFields < 0, "BodyTimeout": c.BodyTimeout < 0, "MaxInFlight": c.MaxInFlight < 0, "Burst": c.Burst < 0,
		"RefusedPerMinute": c.RefusedPerMinute < 0, "MaxSpill": c.MaxSpill < 0, "Workers": c.Workers < 0, "MaxAttempts": c.MaxAttempts < 0,
		"Retention": c.Retention < 0,
	} {
		if negative {
			faults.add("Webhooks."+name, "negative", "0 for the default, or a positive number")
		}
	}
	if c.Lease < 0 || (c.Lease > 0 && c.Lease < time.Second) {
		faults.add("Webhooks.Lease", "too short", "0 for the default, or a second at least")
	}
	for _, p := range c.Processors {
		if (p.Handle == nil) == (p.HandleTx == nil) {
			faults.add("Webhooks.Processors", "a processor with no handler, or with two", "exactly one of Handle and HandleTx")
		}
	}
}
