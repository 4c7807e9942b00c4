// <enlace-health integration="ID"> shows the health of an integration in a page of
// the host:
//
//   <script type="module" src="/integrations/static/enlace-health.js"></script>
//   <enlace-health integration="06h25…"></enlace-health>
//
// It asks the API beside this file, with the user's own session, every half minute
// while the page is looked at.
const api = new URL('../api/v1/', import.meta.url)
const style = new CSSStyleSheet()
style.replaceSync(`
  :host { display: inline-flex; align-items: center; gap: .4em; font: inherit }
  span::before { content: ""; display: inline-block; width: .6em; height: .6em; margin-right: .4em; border-radius: 50%; background: #777 }
  .healthy::before { background: #146c3b } .warning::before { background: #b26a00; border-radius: 0 } .error::before { background: #a4262c; border-radius: 0; transform: rotate(45deg) }`)
const words = {
  'pt': { healthy: 'saudável', warning: 'atenção', error: 'com erro', unknown: 'sem verificação' },
  'en': { healthy: 'healthy', warning: 'attention', error: 'in error', unknown: 'not checked' },
}

class Health extends HTMLElement {
  static observedAttributes = ['integration']
  #label = document.createElement('span')

  constructor() {
    super()
    const root = this.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [style]
    this.#label.setAttribute('role', 'status')
    root.append(this.#label)
  }
  connectedCallback() {
    this.refresh()
    this.timer = setInterval(() => document.hidden || this.refresh(), 30000)
  }
  disconnectedCallback() { clearInterval(this.timer) }
  attributeChangedCallback() { if (this.isConnected) this.refresh() }

  async refresh() {
    const language = (this.closest('[lang]')?.lang || navigator.language).startsWith('pt') ? 'pt' : 'en'
    let health = { status: 'unknown' }
    try {
      const answer = await fetch(new URL(`integrations/${encodeURIComponent(this.getAttribute('integration'))}/health`, api),
        { headers: { Accept: 'application/json', 'Accept-Language': language === 'pt' ? 'pt-BR' : 'en' } })
      if (answer.ok) health = await answer.json()
    } catch { /* not reachable: unknown */ }
    this.#label.className = health.status
    this.#label.textContent = words[language][health.status] ?? health.status
    this.title = health.summary ?? ''
    this.dispatchEvent(new CustomEvent('health', { detail: health }))
  }
}
customElements.define('enlace-health', Health)
