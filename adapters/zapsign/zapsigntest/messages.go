package zapsigntest

import (
	"slices"
	"strconv"
	"time"
)

// Message is an e-mail or WhatsApp message that the server would have sent.
type Message struct {
	At            time.Time
	Kind          string // request, reminder, completed, canceled or signed_file
	Channel       string // email or whatsapp
	To            string // address or number
	Text          string // custom_message, of requests that the server sent by itself
	DocumentToken string
	SignerToken   string // "" for observers
}

// Kinds of messages; the first stands in notification_type (sheet 5.2).
const (
	request    = "request"
	reminder   = "reminder"
	completed  = "completed"
	canceled   = "canceled"
	signedFile = "signed_file"
)

// Messages returns what was sent so far, oldest first.
func (a *API) Messages() []Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.messages)
}

func (a *API) post(d *document, s *signer, kind, channel, to, text string) {
	m := Message{At: a.now(), Kind: kind, Channel: channel, To: to, Text: text, DocumentToken: d.token}
	if s != nil {
		m.SignerToken = s.token
	}
	a.messages = append(a.messages, m)
}

// inviteNext sends the automatic messages to those whose turn it is and who have none yet (F36).
func (a *API) inviteNext(d *document) {
	if !d.isPending() {
		return
	}
	for _, s := range d.signers {
		if s.isOpen() && !s.invited && d.turn(s) {
			s.invited = true
			a.send(s, request, s.customMessage, s.sendEmail, s.sendWhatsapp)
		}
	}
}

// turn tells whether nobody has to sign before s.
func (d *document) turn(s *signer) bool {
	return !d.ordered || !slices.ContainsFunc(d.signers, func(other *signer) bool { return other.isOpen() && other.group < s.group })
}

// send sends a signer a message on the channels that were asked for and are possible, and tells
// how many.
func (a *API) send(s *signer, kind, text string, email, whatsapp bool) int {
	d, sent := s.document, 0
	if email && s.email != "" && !d.disableSignerEmails {
		a.post(d, s, kind, "email", s.email, text)
		a.sent(s, kind, "email")
		sent++
	}
	if whatsapp && s.phoneNumber != "" {
		a.post(d, s, kind, "whatsapp", s.phoneCountry+s.phoneNumber, text)
		a.sent(s, kind, "whatsapp")
		sent++
	}
	return sent
}

func (a *API) sent(s *signer, kind, channel string) {
	s.sendVia, s.sentAt = channel, a.tick()
	a.log(s.document, "", "Notificação enviada", channel)
	a.emitSigner(s, "signature_notification_sent", kind)
}

// resendWindow is the time within which a signer gets one message (sheet 2.2.2).
const resendWindow = 30 * time.Minute

// resend sends a message that the client asked for, or drops it silently (F34). Such messages
// have no custom text (9.28).
func (a *API) resend(s *signer, email, whatsapp bool) {
	if !email && !whatsapp {
		return
	}
	again := !s.sentAt.IsZero()
	if again && a.now().Sub(s.sentAt) < resendWindow {
		return
	}
	sent := a.send(s, request, "", email, whatsapp)
	if again && sent > 0 {
		s.resends.Email += one(email)
		s.resends.Whatsapp += one(whatsapp)
	}
}

func one(what bool) int {
	if what {
		return 1
	}
	return 0
}

// failedSigner is one whom a resend to all could not reach.
type failedSigner struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// resendAll is POST /docs/{token}/resend-notifications-bulk/ (F37, T18).
func (c *call) resendAll() answer {
	d := c.API.documents[c.params[0]]
	if d == nil || d.parent != nil {
		return notFound()
	}
	if d.account != c.account {
		return coded(403, "permission_denied", "Você não tem permissão para executar essa ação.")
	}
	if !d.isPending() {
		return coded(400, "document_not_in_progress", "O documento não está em andamento.")
	}
	waiting := slices.DeleteFunc(slices.Clone(d.signers), func(s *signer) bool { return !s.isOpen() || !d.turn(s) })
	if len(waiting) == 0 {
		return coded(400, "no_pending_signers", "Não há signatários pendentes.")
	}
	if left := d.bulkAt.Add(c.options.BulkCooldown).Sub(c.now()); !d.bulkAt.IsZero() && left > 0 {
		return coded(429, "cooldown_period", "Aguarde o período de cooldown. Tempo restante: "+inWords(left))
	}
	failed, sent := []failedSigner{}, 0
	for _, s := range waiting {
		if c.send(s, request, "", s.email != "", s.email == "" && s.phoneNumber != "") > 0 {
			sent++
			continue
		}
		failed = append(failed, failedSigner{s.name, "Sem email ou telefone"})
	}
	if sent > 0 {
		d.bulkAt = c.now()
	}
	groups := map[int]bool{}
	for _, s := range d.signers {
		groups[s.group] = true
	}
	return ok(struct {
		Success            bool           `json:"success"`
		TotalSigners       int            `json:"total_signers"`
		SentCount          int            `json:"sent_count"`
		FailedCount        int            `json:"failed_count"`
		FailedSigners      []failedSigner `json:"failed_signers"`
		HasOrderActive     bool           `json:"has_order_active"`
		HasSignatureGroups bool           `json:"has_signature_groups"`
	}{sent > 0, len(waiting), sent, len(failed), failed, d.ordered, d.ordered && len(groups) < len(d.signers)})
}

func inWords(left time.Duration) string {
	if left > time.Hour {
		return strconv.Itoa(int((left+time.Hour-1)/time.Hour)) + " horas"
	}
	return strconv.Itoa(int((left+time.Minute-1)/time.Minute)) + " minutos"
}
