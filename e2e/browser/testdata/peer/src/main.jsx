import { createRoot } from 'react-dom/client'
import { Admin, Resource, List, Datagrid, TextField, DateField } from 'react-admin'

const dataProvider = {
  async getList(resource) {
    const answer = await fetch('data/' + resource + '.json')
    const data = await answer.json()
    return { data, total: data.length }
  },
}

const Integrations = () => (
  <List perPage={50}>
    <Datagrid bulkActionButtons={false}>
      <TextField source="name" />
      <TextField source="provider" />
      <TextField source="state" />
      <DateField source="updated" showTime />
    </Datagrid>
  </List>
)

createRoot(document.getElementById('root')).render(
  <Admin dataProvider={dataProvider} disableTelemetry>
    <Resource name="integrations" list={Integrations} />
  </Admin>
)
